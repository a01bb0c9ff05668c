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
  /** `pid:start_time`. */
  process_id?: string
  exe?: string
  uid?: number
}

/**
 * How a hop of a chain follows from the one before, that is what the process that connects has to
 * do with the one that was reached: it is the same one, its descendant, its standard streams are
 * that connection, it was handed the connection, it runs a file from there, was asked over a Unix
 * socket, or was put into a container that ran already (`kubectl exec`).
 */
export type HopLink =
  'same_process' | 'descendant' | 'stdio' | 'descriptor' | 'file' | 'unix' | 'exec'

/** A process between the end of one hop and the beginning of the next. */
export interface HopProcess {
  pid: number
  process_id: string
  exe: string
  uid: number
  args: string[]
}

/** One connection, or attempt, of a story. */
export interface Hop {
  time: string
  from: HopEnd
  to: HopEnd
  protocol: string
  /** False for an attempt that was never established. */
  established: boolean
  /** The rest is of chains only. Absent for the first hop. */
  link?: HopLink
  /** It could have come of so many connections; this is the likeliest. Absent: of this one. */
  link_of?: number
  /** From the process that the hop before reached (exclusive) to the one that connects. */
  via?: HopProcess[]
  /** As the connecting end counts; absent until one end has closed. */
  bytes_sent?: number
  bytes_received?: number
  /** The events of the two ends. */
  evidence?: Evidence[]
}

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** What people read of a finding. Texts of workloads in it go through `printable`. */
export interface Story {
  summary: string
  /** Facts by name, for people and scripts. */
  details: Record<string, Json>
  hop?: Hop
  /** Of a chain, in order. */
  hops?: Hop[]
  /** What to do, in the order in which to do it. */
  next_steps: string[]
}

/** What a detector reports. */
export interface Finding {
  /** Findings of one incident with the same key are one finding that happened several times. */
  key: string
  /** Who it is about. Default: the workload or process tree of the event's process. */
  subject?: string
  /**
   * Other subjects that are part of the same story: their open incidents are joined with this one,
   * and what is found about them later goes here.
   */
  joins?: string[]
  /** Default: the severity of the detector. */
  severity?: Severity
  /** Default: the event that is being evaluated. */
  evidence?: Evidence[]
  /** When it happened, wall clock nanoseconds. Default: the time of the event. */
  wallNs?: bigint
  /** Names of the zones that it touches. */
  zones?: string[]
  /** Names of the stores that it touches. */
  stores?: string[]
  /** Default: that of the event's process. */
  workloads?: string[]
  /** Default: that of the event. */
  nodes?: string[]
  /** Amounts that add up over the times it happened, such as bytes. */
  totals?: Record<string, number>
  /** Asked once, the first time: what happens often must not be told each time. */
  tell(): Story
}
