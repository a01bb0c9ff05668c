import type { Policy, Position, Problem } from './policy.ts'
import { suggest } from './read/suggest.ts'

/** The thresholds that a detector knows, with its own values, by detector id. */
export type DetectorDefaults = ReadonlyMap<string, Readonly<Record<string, unknown>>>

/**
 * Checks detector settings against the detectors that there are: unknown ids, unknown thresholds,
 * and values of another type than the default. The folder knows no detectors, so who calls brings
 * the catalogue. Errors all of them: a threshold that is never read protects nobody.
 */
export function checkThresholds(policy: Policy, detectors: DetectorDefaults): Problem[] {
  const problems: Problem[] = []
  const report = ({ line, column }: Position, path: string, message: string, fix: string): void => {
    problems.push({ severity: 'error', line, column, path, message, fix })
  }
  for (const setting of policy.detectors) {
    const path = `detectors.${setting.id}`
    const defaults = detectors.get(setting.id)
    if (defaults === undefined) {
      report(setting, path, `there is no detector ${setting.id}`,
        advice(setting.id, [...detectors.keys()]))
      continue
    }
    for (const threshold of setting.thresholds) {
      const { name, value } = threshold
      const at = `${path}.thresholds.${name}`
      if (!Object.hasOwn(defaults, name)) {
        report(threshold, at, `${setting.id} has no threshold ${name}`,
          advice(name, Object.keys(defaults)))
      } else if (typeof value !== typeof defaults[name]) {
        report(threshold, at, `${name} must be a ${typeof defaults[name]}`,
          `write a value such as ${JSON.stringify(defaults[name])}`)
      } else if (typeof value === 'number' && !(value >= 0)) {
        report(threshold, at, `${name} cannot be below zero`,
          `write a value such as ${JSON.stringify(defaults[name])}`)
      }
    }
  }
  return problems
}

function advice(word: string, known: string[]): string {
  const near = suggest(word, known)
  if (near !== null) return `did you mean ${near}?`
  return known.length === 0 ? 'remove it: none can be set' : `known: ${known.join(', ')}`
}
