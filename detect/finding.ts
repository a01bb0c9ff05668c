/** What a detector reports. */

export type Severity = 'low' | 'medium' | 'high' | 'critical'

/** Names one event for ever. */
export interface Evidence {
  node_id: string
  boot_id: string
  seq: number
}

/** One end of a hop. What is not known is left out. */
export interface HopEnd {
  zone: string
  address: string
  port?: number
  node_id?: string
  workload?: string
  pid?: number
  exe?: string
  uid?: number
}

/** One connection, or attempt, of a story. */
export interface Hop {
  time: string
  from: HopEnd
  to: HopEnd
  protocol: string
  /** False for an attempt that was never established. */
  established: boolean
}

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** What people read of a finding. Texts of workloads in it go through `printable`. */
export interface Story {
  summary: string
  /** Facts by name, for people and scripts. */
  details: Record<string, Json>
  hop?: Hop
  /** What to do, in the order in which to do it. */
  next_steps: string[]
}

/** What a detector reports. */
export interface Finding {
  /** Findings of one incident with the same key are one finding that happened several times. */
  key: string
  /** Who it is about. Default: the workload or process tree of the event's process. */
  subject?: string
  /** Default: the severity of the detector. */
  severity?: Severity
  /** Default: the event that is being evaluated. */
  evidence?: Evidence[]
  /** When it happened, wall clock nanoseconds. Default: the time of the event. */
  wallNs?: bigint
  /** Names of the zones that it touches. */
  zones?: string[]
  /** Default: that of the event's process. */
  workloads?: string[]
  /** Default: that of the event. */
  nodes?: string[]
  /** Amounts that add up over the times it happened, such as bytes. */
  totals?: Record<string, number>
  /** Asked once, the first time: what happens often must not be told each time. */
  tell(): Story
}
