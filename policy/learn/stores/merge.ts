/** Puts what was learned of stores into the text of a policy, which otherwise stays as it is. */
import { isMap, isSeq, parseDocument } from 'yaml'
import type { YAMLMap } from 'yaml'

/**
 * The text with lines at the end of the entry of each store; lines are four blanks deep, as
 * `addedLines` gives them. An entry that is written with { } has no place for them: they stand
 * above it as comments. The text must be a policy that parses.
 *
 * @param added lines by the name of the store
 */
export function withStoreLines(
  text: string, added: ReadonlyMap<string, readonly string[]>,
): string {
  const root = parseDocument(text).contents
  const stores: unknown = isMap(root) ? root.get('stores', true) : undefined
  if (!isSeq(stores)) return text
  const places = stores.items.flatMap((node: unknown) => {
    const lines = isMap(node) ? added.get(String(node.get('name'))) ?? [] : []
    return isMap(node) && node.range && lines.length > 0 ? [placeOf(text, node, lines)] : []
  })
  // From the end on, so that places stay where they are.
  return places.sort((a, b) => b.at - a.at)
    .reduce((merged, { at, insert }) => merged.slice(0, at) + insert + merged.slice(at), text)
}

function placeOf(
  text: string, node: YAMLMap, lines: readonly string[],
): { at: number, insert: string } {
  const [start, valueEnd] = node.range!
  const lineStart = text.lastIndexOf('\n', start - 1) + 1
  if (node.flow) {
    const indent = /^ */.exec(text.slice(lineStart))![0]
    const comments = lines.map((line) => `${indent}# ${line.slice(4).replace(/^# /, '')}\n`)
    return { at: lineStart, insert: comments.join('') }
  }
  const indent = ' '.repeat(start - lineStart)
  const before = text.slice(0, valueEnd).trimEnd()
  const lineEnd = text.indexOf('\n', before.length)
  const added = lines.map((line) => indent + line.slice(4)).join('\n')
  return lineEnd < 0 ? { at: text.length, insert: `\n${added}\n` }
    : { at: lineEnd + 1, insert: `${added}\n` }
}
