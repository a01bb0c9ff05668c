/** One member of an archive: a directory has no content. Mode is the permission bits. */
export type CpioEntry = { path: string, mode: number, content?: Uint8Array }

const TYPE_DIRECTORY = 0o040000
const TYPE_FILE = 0o100000
const ALIGN = 4

/**
 * Packs entries as a `newc` cpio archive, the form that the kernel takes as initramfs (source:
 * Documentation/driver-api/early-userspace/buffer-format.rst). Owner is root, time is 0, so that
 * the same entries give the same bytes. Parents must come before what is in them.
 */
export function packCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = []
  let inode = 0
  const add = (path: string, mode: number, content: Uint8Array): void => {
    const name = Buffer.from(`${path}\0`)
    const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0]
    const header = '070701' + fields.map((field) => field.toString(16).padStart(8, '0')).join('')
    parts.push(padded(Buffer.concat([Buffer.from(header), name])), padded(content))
    inode += 1
  }
  for (const { path, mode, content } of entries) {
    if (path === '' || path.startsWith('/')) {
      throw new RangeError(`cpio entry path must be relative and not empty, got '${path}'`)
    }
    const type = content === undefined ? TYPE_DIRECTORY : TYPE_FILE
    add(path, type | mode, content ?? Buffer.alloc(0))
  }
  add('TRAILER!!!', 0, Buffer.alloc(0))
  return Buffer.concat(parts)
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((ALIGN - bytes.length % ALIGN) % ALIGN)])
}
