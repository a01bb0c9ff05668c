// Every scenario of the rig, in the order in which they run.

import type { Scenario } from '../scenario.ts'
import { benign, benignByHand, benignShort, learnedIntrusion } from './benign.ts'
import { doubleFork, passedConnection, proxy, scan } from './evasion.ts'
import { exfiltration } from './exfiltration.ts'
import { flood } from './flood.ts'
import {
  correlatorKilled, cutOff, duplicates, intrusion, reverseOrder, skewedClocks,
} from './intrusion.ts'

export const scenarios: readonly Scenario[] = [
  benignByHand, benignShort, benign,
  intrusion, reverseOrder, skewedClocks, cutOff, duplicates, correlatorKilled,
  learnedIntrusion, doubleFork, proxy, passedConnection, flood, scan, exfiltration,
]

/** What CI leaves out: it takes minutes and shows more of what another one shows. */
export const LONG: ReadonlySet<string> = new Set(['benign', 'benign-short', 'cut-off'])
