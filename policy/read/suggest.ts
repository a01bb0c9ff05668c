/** Longer words are not compared: a suggestion for them would not help anyone. */
const WORD_CHARS_MAX = 64

/**
 * The known word that `word` was probably meant to be, or null when none is near. Near is one slip
 * (a letter wrong, missing, extra, or two swapped) per three letters of the known word, ignoring
 * case and the difference between `-`, `_` and nothing.
 */
export function suggest(word: string, known: readonly string[]): string | null {
  if (word.length > WORD_CHARS_MAX) return null
  const plain = simplify(word)
  let best: string | null = null
  let bestDistance = Infinity
  for (const candidate of known) {
    if (candidate.length > WORD_CHARS_MAX) continue
    const slipsMax = Math.max(1, Math.floor(candidate.length / 3))
    const distance = slips(plain, simplify(candidate))
    if (distance <= slipsMax && distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function simplify(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, '')
}

/** Edit distance where a swap of two neighbours counts once (optimal string alignment). */
function slips(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2] + 1)
      }
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]
}
