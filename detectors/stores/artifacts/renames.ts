/** What a rename does to the name of a file. */

/** Of copies that are made before or after a change, and of packers. */
const ordinary = new Set(['tmp', 'temp', 'part', 'partial', 'incomplete', 'bak', 'old', 'orig',
  'new', 'swp', 'lock', 'done', 'gz', 'zst', 'xz', 'bz2', 'lz4', 'zip', 'deleted', 'trash',
  'safetensors', 'bin', 'pt', 'pth', 'ckpt', 'json', 'gguf', 'onnx', 'pkl', 'txt', 'model'])
const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/**
 * The ending that a file got beside or instead of its own, with its dot; '' when its name stays the
 * same, is another one altogether, or has an ending that ordinary work gives.
 */
export function addedEnding(oldPath: string, path: string): string {
  const [before, after] = [nameOf(oldPath), nameOf(path)]
  const dot = after.lastIndexOf('.')
  if (before === '' || before === after || dot <= 0) return ''
  const ending = after.slice(dot)
  const stem = after.slice(0, dot)
  const isOf = stem === before || stem === before.replace(/\.[^.]*$/, '')
  const word = ending.slice(1).toLowerCase()
  if (!isOf || before.endsWith(ending) || ordinary.has(word) || /^\d*$/.test(word)) return ''
  return ending
}
