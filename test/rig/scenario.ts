// What a scenario is: what runs, what must be raised, what must stay quiet.

import type { Load } from './cluster/benign.ts'
import type { EventJson } from '../../proto/event-json.ts'
import type { Cluster } from './cluster/cluster.ts'
import type { WatchedName } from './cluster/layout.ts'

/** One end of a hop that must be told. What is left out may be anything. */
export interface EndWanted {
  zone?: string
  /** Name of the node; null: of no node that is watched. */
  node: WatchedName | null
  address?: string
  port?: number
  /** End of the path of the executable. */
  exe?: string
  uid?: number
}

export interface HopWanted {
  from: EndWanted
  to: EndWanted
  /** At least so many bytes from the first end to the second. */
  bytes_sent_min?: number
  /** And the other way. */
  bytes_received_min?: number
}

/** What must come out. Everything that is raised must be wanted here. */
export interface Expectation {
  /** Exactly so many incidents, those included that went into another one later. */
  incidents: number
  /** Detectors of which the first incident has a finding, at least. */
  detectors?: readonly string[]
  /** Detectors that must say nothing. */
  quiet?: readonly string[]
  /** Hops of the first incident, in order; others may stand between them. */
  hops?: readonly HopWanted[]
  /** Names of the stores that the first incident must name. */
  stores?: readonly string[]
  /** At least so much in the totals of one finding of the first incident. */
  totals?: Readonly<Record<string, number>>
  /** From the last step of the attack until all that is told. */
  within_s?: number
}

/** What a scenario acts with. */
export interface Stage {
  cluster: Cluster
  /** The moment from which `within_s` counts. */
  lastStep(): void
  progress(what: string): void
}

export interface Scenario {
  name: string
  /** What it shows, in one line. */
  title: string
  /** Benign work before it, of which the policy is learned. Without it, policy.yaml is in force. */
  learn?: Load
  /** Benign work that goes on meanwhile, and ends before the verdict. */
  work?: Load
  clockShiftS?: Partial<Record<WatchedName, number>>
  act?(stage: Stage): Promise<void>
  /** What else the events must show: problems in plain words. Called when all has ended. */
  check?(events: readonly EventJson[]): string[]
  expect: Expectation
}
