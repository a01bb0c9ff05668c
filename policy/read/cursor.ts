/**
 * Walks plain values together with their places. Everything that has not the right type is passed
 * over in silence: the schema reports it, and the checks of meaning go on with the rest.
 */
import type { Pattern, Position, Problem } from '../policy.ts'
import { childPath } from './tree.ts'
import type { Located } from './tree.ts'

/** A value, where it stands, and its path in words. */
export type Cursor = { value: unknown, located: Located, path: string }

/** Takes what is wrong. */
export type Report = (problem: Problem) => void

/** The entries of a list; none when it is not a list. */
export function listOf(cursor: Cursor | null): Cursor[] {
  if (cursor === null || !Array.isArray(cursor.value)) return []
  return cursor.value.flatMap((value, index) => {
    const located = cursor.located.children.get(index)
    return located === undefined ? [] : [{ value, located, path: `${cursor.path}[${index}]` }]
  })
}

/** The entries of a map, with their keys; none when it is not a map. */
export function entriesOf(cursor: Cursor | null): [key: string, entry: Cursor][] {
  if (cursor === null || typeof cursor.value !== 'object' || cursor.value === null) return []
  if (Array.isArray(cursor.value)) return []
  return Object.entries(cursor.value).flatMap(([key, value]): [string, Cursor][] => {
    const located = cursor.located.children.get(key)
    if (located === undefined) return []
    return [[key, { value, located, path: childPath(cursor.path, key) }]]
  })
}

/** One entry of a map, or null. */
export function entryOf(cursor: Cursor | null, key: string): Cursor | null {
  return entriesOf(cursor).find(([name]) => name === key)?.[1] ?? null
}

/** The text of one entry of a map, or null when it is absent or not text. */
export function textOf(cursor: Cursor | null, key: string): string | null {
  const value = entryOf(cursor, key)?.value
  return typeof value === 'string' ? value : null
}

/** The texts of a list with their places. */
export function patternsOf(cursor: Cursor | null): Pattern[] {
  return listOf(cursor).flatMap(({ value, located }) => {
    return typeof value === 'string' ? [{ text: value, ...located.at }] : []
  })
}

/** Makes a problem at a value. */
export function problemAt(
  cursor: { located: { at: Position }, path: string },
  severity: Problem['severity'], message: string, fix: string,
): Problem {
  return { severity, ...cursor.located.at, path: cursor.path, message, fix }
}
