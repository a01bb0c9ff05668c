import type { Drill } from './drill.ts'
import { zoneViolation } from './zone-violation.ts'

/** Every drill, in the order in which `vedette drill` lists them. */
export const drills: readonly Drill[] = [
  zoneViolation,
]
