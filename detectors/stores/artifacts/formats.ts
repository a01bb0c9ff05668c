/** What a file of a model can be, by its name. */

/** Pickles, and containers of pickles: whoever loads one runs what is in it. */
const pickles = new Set(['pt', 'pth', 'pkl', 'pickle', 'bin', 'ckpt', 'joblib', 'pt2', 'dill'])
/** They are run, or bring code along. */
const code = new Set(['py', 'pyc', 'so', 'sh', 'h5', 'keras', 'pb', 'engine', 'plan', 'ptx',
  'cubin', 'nemo', 'mar', 'jar', 'whl', 'npy', 'exe', 'dll'])
const texts = new Set(['md', 'txt', 'license', 'log', 'png', 'jpg', 'svg', 'pdf', 'gitattributes',
  'gitignore', 'lock', 'metadata'])

/** `pt` of /a/model.pt; '' for a name without. */
function endingOf(path: string): string {
  return /\.([^./]+)$/.exec(path)?.[1].toLowerCase() ?? ''
}

/** A file that Python's pickle may be asked to load. */
export function isPickle(path: string): boolean {
  return pickles.has(endingOf(path))
}

/** A pickle, or another file that is run or brings code. */
export function carriesCode(path: string): boolean {
  return isPickle(path) || code.has(endingOf(path))
}

/** For people: nothing is made of it. */
export function isText(path: string): boolean {
  return texts.has(endingOf(path)) || /\/(?:license|readme|notice)$/i.test(path)
}
