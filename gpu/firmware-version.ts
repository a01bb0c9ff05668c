// The version that a firmware image of an NVIDIA GPU says of itself: an ELF file with a section
// `.fwversion` that holds one text (NVIDIA open-gpu-kernel-modules, kernel_gsp.c). Pure.

/** Bytes of the file from `offset` on, at most `bytes` of them; fewer at its end. */
export type ReadAt = (offset: number, bytes: number) => Uint8Array

const headerBytes = 64
const sectionBytes = 64
/** GSP images have a dozen. */
const sectionsMax = 256
const namesBytesMax = 16_384
const versionBytesMax = 64
const sectionName = '.fwversion'

/**
 * The version, such as '570.211.01'; undefined when the file is no such image, or a broken one. The
 * file is not trusted: at most 4 reads and 33 KiB of it, and only letters, digits, dots, dashes.
 */
export function firmwareVersion(read: ReadAt): string | undefined {
  const header = viewOf(read(0, headerBytes))
  if (header.byteLength < headerBytes || header.getUint32(0) !== 0x7f454c46) return undefined
  // 64 bits, little-endian: what the driver itself asks for.
  if (header.getUint8(4) !== 2 || header.getUint8(5) !== 1) return undefined
  const count = header.getUint16(60, true)
  const namesIndex = header.getUint16(62, true)
  if (header.getUint16(58, true) !== sectionBytes || count > sectionsMax) return undefined
  const at = offsetAt(header, 40)
  if (at === undefined || namesIndex >= count) return undefined
  const sections = viewOf(read(at, count * sectionBytes))
  if (sections.byteLength < count * sectionBytes) return undefined
  const names = content(read, sections, namesIndex, namesBytesMax)
  if (!names) return undefined
  for (let index = 0; index < count; index++) {
    if (textAt(names, sections.getUint32(index * sectionBytes, true)) !== sectionName) continue
    const bytes = content(read, sections, index, versionBytesMax)
    const version = bytes && textAt(bytes, 0)
    return version !== undefined && /^[\w.-]+$/.test(version) ? version : undefined
  }
  return undefined
}

/** The bytes of a section; undefined when it is longer than `bytesMax`, or not whole. */
function content(
  read: ReadAt, sections: DataView, index: number, bytesMax: number,
): Uint8Array | undefined {
  const offset = offsetAt(sections, index * sectionBytes + 24)
  const bytes = offsetAt(sections, index * sectionBytes + 32)
  if (offset === undefined || bytes === undefined || bytes > bytesMax) return undefined
  const found = read(offset, bytes)
  return found.length === bytes ? found : undefined
}

/** A place or size in the file; undefined when no file is that long. */
function offsetAt(view: DataView, at: number): number | undefined {
  const value = view.getBigUint64(at, true)
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined
}

/** Up to a NUL, which must be there. */
function textAt(bytes: Uint8Array, at: number): string | undefined {
  const end = bytes.indexOf(0, at)
  return end < 0 || at > bytes.length ? undefined
    : Buffer.from(bytes.subarray(at, end)).toString('latin1')
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
