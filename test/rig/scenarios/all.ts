// Every scenario of the rig, in the order in which they run.

import type { Scenario } from '../scenario.ts'
import { benign, benignByHand, benignShort } from './benign.ts'
import { intrusion } from './intrusion.ts'

export const scenarios: readonly Scenario[] = [
  benignByHand, benignShort, benign,
  intrusion,
]

/** What CI leaves out: it takes minutes and shows more of what another one shows. */
export const LONG: ReadonlySet<string> = new Set(['benign'])
