// What is mounted where, as /proc/PID/mountinfo of one mount namespace says it. Pure.

/** One mount. */
export interface Mount {
  id: number
  /** Of the mount that it lies on. */
  parent: number
  /** Device number of its file system (kernel encoding, major << 20 | minor). */
  device: number
  /** Which part of the file system is mounted: '/' for all of it. */
  root: string
  /** Where, in this mount namespace. */
  point: string
  /** Such as "nfs4", "fuse.s3fs". */
  type: string
  /** Such as "filer:/export/imagenet". */
  source: string
  /** Of an overlay, the folders that it is made of, the upper one first; otherwise none. */
  layers: string[]
}

const minorBits = 20
const majorMax = 2 ** 12
const minorMax = 2 ** minorBits

/** The lines of a mountinfo, in their order; odd lines are left out. */
export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    const [before, after] = splitOnce(line, ' - ')
    const [id, parent, numbers, root, point] = before.split(' ')
    const [type, source, options = ''] = after.split(' ')
    const device = deviceOf(numbers ?? '')
    if (device === undefined || !point || !type) return []
    return [{
      id: Number(id), parent: Number(parent), device, root: unescape(root), point: unescape(point),
      type: unescape(type), source: unescape(source ?? ''),
      layers: type === 'overlay' ? layersOf(unescape(options)) : [],
    }]
  })
}

/** "98:0" as one number; undefined for anything else. */
export function deviceOf(numbers: string): number | undefined {
  const found = /^(\d+):(\d+)$/.exec(numbers)
  const [major, minor] = [Number(found?.[1]), Number(found?.[2])]
  return found && major < majorMax && minor < minorMax ? major * minorMax + minor : undefined
}

/** The mount that a path is in: the last one on the longest mount point. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  let found: Mount | undefined
  for (const mount of mounts) {
    if (!isWithin(path, mount.point)) continue
    if (!found || mount.point.length >= found.point.length) found = mount
  }
  return found
}

/** Is it the folder itself or something below it? Both absolute, without a slash at the end. */
export function isWithin(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`)
}

/** Where something of a mount is in its file system, whatever part of it is mounted. */
export function pathInside(mount: Mount, path: string): string {
  const rest = mount.point === '/' ? path : path.slice(mount.point.length)
  if (mount.root === '/') return rest === '' ? '/' : rest
  return rest === '/' ? mount.root : mount.root + rest
}

/** Layers that the mounter named relative to a folder that is not known are left out. */
function layersOf(options: string): string[] {
  const layers = options.split(/(?<!\\),/).flatMap((option) => {
    const [, key, value] = /^(upperdir|lowerdir\+?|datadir\+)=(.*)$/.exec(option) ?? []
    if (key === undefined) return []
    const folders = key === 'lowerdir' ? value.split(/(?<!\\):+/) : [value]
    return folders.map((folder) => ({ folder: folder.replace(/\\(.)/g, '$1'), key }))
  })
  return layers.toSorted((one, other) => Number(other.key === 'upperdir')
    - Number(one.key === 'upperdir')).map(({ folder }) => folder)
    .filter((folder) => folder.startsWith('/'))
}

function splitOnce(line: string, by: string): [string, string] {
  const at = line.indexOf(by)
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + by.length)]
}

/** The kernel writes blanks, tabs, newlines and backslashes as octal. */
function unescape(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
}
