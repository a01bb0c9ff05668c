/** Versions of drivers, such as `570.124.06`. */

/** Whether version `one` came before `other`, by their numbers; false when either has none. */
export function isOlder(one: string, other: string): boolean {
  const [left, right] = [numbersOf(one), numbersOf(other)]
  if (left.length === 0 || right.length === 0) return false
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

function numbersOf(version: string): number[] {
  return /^\d+(?:\.\d+)*/.exec(version)?.[0].split('.').slice(0, 8).map(Number) ?? []
}
