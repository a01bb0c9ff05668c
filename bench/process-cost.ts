// What another process has cost so far, by /proc. Zero for one that has ended.

import { readFileSync, writeFileSync } from 'node:fs'

/** User and system time of another process so far, seconds. */
export function cpuSecondsOf(pid: number): number {
  // Behind the name in brackets, which may hold blanks: fields 14 and 15, in ticks of 10 ms.
  const fields = textOf(`/proc/${pid}/stat`).replace(/^.*\) /s, '').split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Resident memory of another process, MiB: now, and its highest since the start. */
export function residentOf(pid: number): { now: number, peak: number } {
  const status = textOf(`/proc/${pid}/status`)
  const of = (name: string): number =>
    Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1024
  return { now: of('VmRSS'), peak: of('VmHWM') }
}

/** From now on the highest resident memory counts anew. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
