/**
 * Globs over paths and unit names. `*` stands for any characters within one level, `**` for any
 * characters across levels, and `**` followed by a slash also for nothing (`/a/**` + `/b` matches
 * `/a/b`). Everything else is literal.
 *
 * The text comes from workloads and is hostile, so this is not a regular expression: all positions
 * of the pattern are tried side by side, in pattern × text steps at worst, with no backtracking.
 */
const STAR = -1
const ANYTHING = -2
const LEVELS = -3
const LEVELS_LOOP = -4
const SLASH = 47

/** A glob made ready. `literals` counts the characters that must be there as written. */
export type Glob = {
  text: string
  literals: number
  stars: number
  matches: (text: string) => boolean
}

/** What sorts patterns. */
type Specificity = { literals: number, stars: number }

/** Never fails: every string is a glob. */
export function compileGlob(text: string): Glob {
  const star = text.indexOf('*')
  if (star < 0) {
    return { text, literals: text.length, stars: 0, matches: (other) => other === text }
  }
  // A directory wildcard may start at the slash before it, so the plain start ends there.
  const prefix = text.slice(0, star)
  const tokens = tokenize(text, star)
  const stars = tokens.filter((token) => token === STAR).length
  const wide = tokens.filter((token) => token === ANYTHING || token === LEVELS).length
  return {
    text,
    literals: prefix.length + tokens.filter((token) => token >= 0).length,
    // Crossing levels is wider than any number of wildcards within a level that a pattern holds.
    stars: stars + wide * 1000,
    matches: matcherOf(prefix, tokens),
  }
}

function matcherOf(prefix: string, tokens: number[]): (text: string) => boolean {
  // Most end with their only wildcard.
  const [token] = tokens
  if (tokens.length === 1 && token === ANYTHING) return (text) => text.startsWith(prefix)
  if (tokens.length === 1 && token === STAR) {
    return (text) => text.startsWith(prefix) && !text.includes('/', prefix.length)
  }
  return (text) => text.startsWith(prefix) && run(tokens, text, prefix.length)
}

/** Sorts the more specific glob first: more literal characters, then fewer and narrower stars. */
export function compareSpecificity(a: Specificity, b: Specificity): number {
  return b.literals - a.literals || a.stars - b.stars
}

function tokenize(text: string, from: number): number[] {
  const tokens: number[] = []
  for (let i = from; i < text.length; i++) {
    if (text[i] !== '*') {
      tokens.push(text.charCodeAt(i))
    } else if (text[i + 1] !== '*') {
      tokens.push(STAR)
    } else {
      const start = i
      while (text[i + 1] === '*') i++
      const wholeLevel = text[i + 1] === '/' && (start === 0 || text[start - 1] === '/')
      if (wholeLevel) {
        tokens.push(LEVELS, LEVELS_LOOP)
        i++
      } else {
        tokens.push(ANYTHING)
      }
    }
  }
  return tokens
}

function run(tokens: number[], text: string, from: number): boolean {
  let now = new Uint8Array(tokens.length + 1)
  let next = new Uint8Array(tokens.length + 1)
  enter(tokens, now, 0)
  for (let i = from; i < text.length; i++) {
    next.fill(0)
    if (!step(tokens, now, next, text.charCodeAt(i))) return false
    const spare = now
    now = next
    next = spare
  }
  return now[tokens.length] === 1
}

/** Moves every position over one character; false when none is left. */
function step(tokens: number[], now: Uint8Array, next: Uint8Array, char: number): boolean {
  let alive = false
  for (let at = 0; at < tokens.length; at++) {
    if (now[at] === 0) continue
    const token = tokens[at]
    if (token >= 0) {
      if (token !== char) continue
      enter(tokens, next, at + 1)
    } else if (token === STAR) {
      if (char === SLASH) continue
      enter(tokens, next, at)
    } else if (token === ANYTHING) {
      enter(tokens, next, at)
    } else if (token === LEVELS_LOOP) {
      next[at] = 1
      if (char === SLASH) enter(tokens, next, at + 1)
    } else {
      continue
    }
    alive = true
  }
  return alive
}

/** Marks a position, and those that it reaches without a character. */
function enter(tokens: number[], states: Uint8Array, from: number): void {
  let at = from
  while (states[at] === 0) {
    states[at] = 1
    if (tokens[at] === STAR || tokens[at] === ANYTHING) {
      at += 1
    } else if (tokens[at] === LEVELS) {
      states[at + 1] = 1
      at += 2
    } else {
      return
    }
  }
}
