/** Puts learned entries into the text of a policy, which otherwise stays as it is. */
import { isMap, isSeq, parseDocument } from 'yaml'

/**
 * The text with the entries at the ends of `zones` and `flows`; lines are two blanks deep, as
 * `zoneLines` and `flowLines` give them. Null where a list is written with [ ], which has no place
 * for comments: such a text a person must change first. The text must be a policy that parses.
 */
export function withEntries(
  text: string, entries: { zones: readonly string[], flows: readonly string[] },
): string | null {
  let merged: string | null = text
  for (const key of ['zones', 'flows'] as const) {
    if (merged === null || entries[key].length === 0) continue
    merged = withLines(merged, key, entries[key])
  }
  return merged
}

function withLines(text: string, key: string, lines: readonly string[]): string | null {
  const root = parseDocument(text).contents
  const node: unknown = isMap(root) ? root.get(key, true) : undefined
  if (isMap(root) && root.flow) return null
  if (node === undefined || node === null) {
    const end = text.endsWith('\n') ? '' : '\n'
    return `${text}${end}\n${key}:\n${lines.join('\n')}\n`
  }
  if (!isSeq(node) || node.flow || !node.range) return null
  const [start, valueEnd] = node.range
  const indent = ' '.repeat(start - (text.lastIndexOf('\n', start - 1) + 1))
  // The value may end behind its last line break, or in front of it.
  const before = text.slice(0, valueEnd).trimEnd()
  const lineEnd = text.indexOf('\n', before.length)
  const place = lineEnd < 0 ? text.length : lineEnd + 1
  const shifted = lines.map((line) => line === '' ? '' : indent + line.replace(/^ {2}/, ''))
  const gap = lineEnd < 0 ? '\n' : ''
  return `${text.slice(0, place)}${gap}\n${shifted.join('\n')}\n${text.slice(place)}`
}
