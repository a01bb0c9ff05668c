// Time since boot, in which probes stamp records, and how it maps to the wall clock.

import { readFileSync } from 'node:fs'
import { clocks } from '../native/index.ts'

/** One moment on both clocks, nanoseconds. */
export interface Moment {
  /** Since boot, suspend included (CLOCK_BOOTTIME), as in the header of records. */
  bootNs: bigint
  /** Since 1970 (CLOCK_REALTIME). */
  wallNs: bigint
}

/** How the agent knows the time. */
export interface Clock {
  now(): Moment
}

/** Precise to about 100 ns with the addon, to 1 ms without (see ClockWithoutAddon). */
export function openClock(): Clock {
  return clocks() === undefined ? new ClockWithoutAddon() : { now: () => clocks()! }
}

/** /proc/uptime counts in hundredths of a second, rounded down. */
const uptimeStepNs = 10_000_000n

/**
 * Node itself offers CLOCK_MONOTONIC, which stands still in suspend. The difference to the time
 * since boot is exactly the time suspended: zero on most servers, and else told by /proc/uptime to
 * 10 ms. The wall clock is Date's, to 1 ms.
 */
export class ClockWithoutAddon implements Clock {
  readonly #uptimePath: string

  constructor(uptimePath = '/proc/uptime') {
    this.#uptimePath = uptimePath
  }

  now(): Moment {
    const bootNs = process.hrtime.bigint() + this.#suspendedNs()
    return { bootNs, wallNs: BigInt(Date.now()) * 1_000_000n }
  }

  #suspendedNs(): bigint {
    const uptimeNs = readUptimeNs(this.#uptimePath)
    if (uptimeNs === undefined) return 0n
    const differenceNs = uptimeNs + uptimeStepNs / 2n - process.hrtime.bigint()
    return differenceNs > 2n * uptimeStepNs ? differenceNs : 0n
  }
}

function readUptimeNs(path: string): bigint | undefined {
  try {
    const match = /^(\d+)\.(\d\d) /.exec(readFileSync(path, 'utf8'))
    return match ? BigInt(match[1] + match[2]) * uptimeStepNs : undefined
  } catch {
    return undefined
  }
}

/** The kernel's id of this boot, 32 hex digits; zeros when /proc does not tell. */
export function readBootId(path = '/proc/sys/kernel/random/boot_id'): string {
  try {
    const id = readFileSync(path, 'utf8').trim().replaceAll('-', '')
    return /^[0-9a-f]{32}$/.test(id) ? id : '0'.repeat(32)
  } catch {
    return '0'.repeat(32)
  }
}
