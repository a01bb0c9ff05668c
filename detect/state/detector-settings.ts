import type { CompiledPolicy } from '../../policy/compile.ts'
import type { Detector } from '../detector.ts'

/** Thresholds of a detector by the policy. */
export function settingsOf(
  { id, settings }: Detector, policy: CompiledPolicy,
): Record<string, number> {
  const found = { ...settings }
  for (const { name, value } of policy.detectors.get(id)?.thresholds ?? []) {
    // Others were refused when the policy was checked.
    if (Object.hasOwn(settings, name) && typeof value === 'number') found[name] = value
  }
  return found
}
