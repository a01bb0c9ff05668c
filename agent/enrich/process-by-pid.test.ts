import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { processByPid } from './process-by-pid.ts'

/** Start of this process as /proc counts it: in hundredths of a second. */
const ticks = BigInt(readFileSync('/proc/self/stat', 'latin1').replace(/^.*\) /s, '').split(' ')[19])
const exact = ticks * 10_000_000n + 1234n
const factsOf = () => ({ exe: '/bin/x', cgroup_path: '/a', workload: 'w' })

describe('a process by its pid', () => {
  it('is the one of other events: with its exact start, user, name and facts', () => {
    const found = processByPid(process.pid, {
      startOf: (pid) => pid === process.pid ? exact : undefined, factsOf, cgroupMount: '',
    })
    expect(found).toEqual({
      pid: process.pid, start_time: exact, ppid: process.ppid, parent_start_time: 0n,
      uid: process.getuid?.(), comm: readFileSync('/proc/self/comm', 'utf8').trimEnd(), cgroup_id: 0n,
      exe: '/bin/x', cgroup_path: '/a', workload: 'w',
    })
  })

  it('is only its pid when it was never seen, when it ended, or another has the pid by now', () => {
    const ask = (pid: number, start: bigint | undefined) =>
      processByPid(pid, { startOf: () => start, factsOf, cgroupMount: '' })
    expect(ask(process.pid, undefined)).toEqual({ pid: process.pid })
    expect(ask(process.pid, exact - 20_000_000n)).toEqual({ pid: process.pid })
    expect(ask(4_194_305, exact)).toEqual({ pid: 4_194_305 })
  })
})
