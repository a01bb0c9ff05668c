/**
 * YAML text to plain values, with the place of every key and value beside them.
 *
 * The values are made here and not by the YAML library: one walk bounds depth, size and the
 * expansion of aliases, finds repeated keys in linear time, and keeps the places.
 */
import { isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml'
import type { Pair, YAMLError, YAMLMap, YAMLSeq } from 'yaml'
import type { Lines } from './lines.ts'
import type { Position, Problem } from '../policy.ts'

/** The deepest policy that means anything is six levels deep. */
const DEPTH_MAX = 16
/** Values in a policy, each counted as often as an alias repeats it. */
const VALUES_MAX = 50_000
const KEY_CHARS_MAX = 128

/** The places of a value: itself, its key if it has one, and what it holds. */
export type Located = {
  at: Position
  keyAt: Position | null
  children: ReadonlyMap<string | number, Located>
}

/** The plain value (objects have no prototype), its places, and what is wrong with the YAML. */
export type Tree = { value: unknown, root: Located, problems: Problem[] }

/** Reads one YAML 1.2 document. Never throws. */
export function readTree(text: string, lines: Lines): Tree {
  const nowhere = { at: { line: 1, column: 1 }, keyAt: null, children: new Map() }
  try {
    const document = parseDocument(text, {
      // With logLevel 'silent' a second document would be dropped in silence.
      prettyErrors: false, uniqueKeys: false, strict: true, logLevel: 'error', merge: false,
    })
    const faults = causes([...document.errors, ...document.warnings], lines)
    if (faults.length > 0) {
      return { value: null, root: nowhere, problems: faults.map((fault) => inWords(fault, lines)) }
    }
    const walk = new Walk(lines)
    const { value, located } = walk.value(document.contents, '', 0, null)
    return { value, root: located, problems: walk.problems }
  } catch (error) {
    // Only a text nested far beyond any policy gets here: the library recurses.
    const message = `the YAML cannot be read: ${oneLine(error)}`
    const fix = 'write plain lists and maps, as in the example policy'
    return {
      value: null, root: nowhere,
      problems: [{ severity: 'error', ...nowhere.at, path: '', message, fix }],
    }
  }
}

type Read = { value: unknown, located: Located }

class Walk {
  readonly problems: Problem[] = []
  readonly #lines: Lines
  readonly #anchors = new Map<string, unknown>()
  #values = 0
  #full = false

  constructor(lines: Lines) {
    this.#lines = lines
  }

  value(node: unknown, path: string, depth: number, key: unknown): Read {
    const keyAt = key === null ? null : this.#place(key, { line: 1, column: 1 })
    // An empty value stands nowhere useful: its key does.
    const empty = node === null || (isScalar(node) && node.value === null && !node.source)
    const at = empty && keyAt !== null ? keyAt : this.#place(node, keyAt ?? { line: 1, column: 1 })
    const located: Located = { at, keyAt, children: new Map() }
    this.#values += 1
    if (this.#full) return { value: null, located }
    if (depth > DEPTH_MAX) {
      return this.#stop(located, path, 'this is nested too deeply', 'an alias may hold itself')
    }
    if (this.#values > VALUES_MAX) {
      return this.#stop(located, path, `the policy holds more than ${VALUES_MAX} values`,
        'merge neighbouring address ranges; aliases count each time')
    }
    if (isAlias(node)) return this.#alias(node.source, located, path, depth, key)
    const anchor = (isMap(node) || isSeq(node) || isScalar(node)) && node.anchor
    if (anchor) this.#anchors.set(anchor, node)
    if (isMap(node)) return this.#map(node, located, path, depth)
    if (isSeq(node)) return this.#list(node, located, path, depth)
    return { value: isScalar(node) ? node.value : null, located }
  }

  #alias(name: string, located: Located, path: string, depth: number, key: unknown): Read {
    const target = this.#anchors.get(name)
    if (target !== undefined) return this.value(target, path, depth + 1, key)
    const quoted = JSON.stringify(`*${clip(name)}`)
    this.#report(located.at, path,
      `a star at the start refers to &${clip(name)}, which is not there`,
      `put a pattern in quotes: ${quoted}`)
    return { value: null, located }
  }

  #map(map: YAMLMap, located: Located, path: string, depth: number): Read {
    const value: Record<string, unknown> = Object.create(null)
    const children = new Map<string, Located>()
    for (const pair of map.items) {
      const key = this.#key(pair, path, located.at)
      if (key === null) continue
      if (children.has(key)) {
        this.#report(this.#place(pair.key, located.at), childPath(path, key),
          `the key ${clip(key)} is here for the second time`, 'keep one of the two')
        continue
      }
      const read = this.value(pair.value, childPath(path, key), depth + 1, pair.key)
      value[key] = read.value
      children.set(key, read.located)
    }
    return { value, located: { ...located, children } }
  }

  #list(list: YAMLSeq, located: Located, path: string, depth: number): Read {
    const value: unknown[] = []
    const children = new Map<number, Located>()
    for (const [index, item] of list.items.entries()) {
      const read = this.value(item, `${path}[${index}]`, depth + 1, null)
      value.push(read.value)
      children.set(index, read.located)
    }
    return { value, located: { ...located, children } }
  }

  #key(pair: Pair, path: string, parent: Position): string | null {
    const { key } = pair
    if (isScalar(key) && key.value !== null && typeof key.value !== 'object') {
      const text = String(key.value)
      if (text.length <= KEY_CHARS_MAX) return text
    }
    this.#report(this.#place(key, parent), path, 'this cannot be a key', 'write a short word')
    return null
  }

  #place(node: unknown, otherwise: Position): Position {
    const offset = (node as { range?: [number, number, number] | null } | null)?.range?.[0]
    return offset === undefined ? otherwise : this.#lines.positionAt(offset)
  }

  #stop(located: Located, path: string, message: string, fix: string): Read {
    this.#full = true
    this.#report(located.at, path, message, fix)
    return { value: null, located }
  }

  #report(at: Position, path: string, message: string, fix: string): void {
    this.problems.push({ severity: 'error', ...at, path, message, fix })
  }
}

/** The path of a key below a path: `a.b`, or `a["b c"]` where it is no plain word. */
export function childPath(path: string, key: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(key)) return `${path}[${JSON.stringify(clip(key))}]`
  return path === '' ? key : `${path}.${key}`
}

function clip(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0].slice(0, 120)
}

const WORDS: Partial<Record<string, [message: string, fix: string]>> = {
  TAB_AS_INDENT: ['a tab indents this line, which YAML does not know', 'write spaces'],
  MULTIPLE_DOCS: ['a second document starts here', 'keep one document and remove the --- line'],
  RESOURCE_EXHAUSTION: ['this is nested too deeply', 'write plain lists and maps'],
  TAG_RESOLVE_FAILED: ['a tag (a word after !) has no meaning here', 'remove the tag'],
  BLOCK_AS_IMPLICIT_KEY: ['a map starts where a value is', 'write one key per line, aligned'],
  BAD_INDENT: ['the indentation does not fit', 'align keys and dashes that belong together'],
  BAD_ALIAS: ['a star with nothing after it', 'put a pattern in quotes: "*"'],
  BAD_SCALAR_START: ['a value cannot start with this character', 'put the value in quotes'],
  MULTILINE_IMPLICIT_KEY: ['this line is neither a key nor a list entry', 'write key: value'],
}

/**
 * The errors that are causes. One slip makes the library complain several times on its line, and
 * of every token up to the end of the text once it has lost the structure of the document.
 */
function causes(errors: YAMLError[], lines: Lines): YAMLError[] {
  const byLine = new Map<number, YAMLError>()
  for (const error of errors) {
    const { line } = lines.positionAt(error.pos[0])
    if (byLine.size > 0 && error.message.includes('token in YAML stream')) break
    if (!byLine.has(line)) byLine.set(line, error)
  }
  return [...byLine.values()]
}

function inWords(error: YAMLError, lines: Lines): Problem {
  const known = WORDS[error.code]
  return {
    severity: 'error', ...lines.positionAt(error.pos[0]), path: '',
    message: known?.[0] ?? `the YAML is not well formed: ${oneLine(error)}`,
    fix: known?.[1] ?? 'check quotes, brackets and colons here and on the line before',
  }
}
