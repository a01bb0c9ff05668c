// For tests: a file as the firmware of a GPU is one, with nothing in it but its version.

/** An ELF file with a section of this name that holds `version` and a NUL. */
export function gspImage(version: string, name = '.fwversion'): Buffer {
  const names = Buffer.from(`\0.shstrtab\0.fwimage\0${name}\0`, 'latin1')
  const text = Buffer.from(`${version}\0`, 'latin1')
  const image = Buffer.alloc(512, 0x5a)
  const contents = [Buffer.alloc(0), names, image, text]
  const namesAt = [0, 1, 11, 20]
  const header = Buffer.alloc(64)
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  const sections = Buffer.alloc(64 * contents.length)
  let at = 64
  contents.forEach((bytes, index) => {
    sections.writeUInt32LE(namesAt[index], index * 64)
    sections.writeUInt32LE(index === 0 ? 0 : 1, index * 64 + 4)
    sections.writeBigUInt64LE(BigInt(at), index * 64 + 24)
    sections.writeBigUInt64LE(BigInt(bytes.length), index * 64 + 32)
    at += bytes.length
  })
  header.writeBigUInt64LE(BigInt(at), 40)
  header.writeUInt16LE(64, 58)
  header.writeUInt16LE(contents.length, 60)
  header.writeUInt16LE(1, 62)
  return Buffer.concat([header, ...contents, sections])
}
