// What counting the calls of GPU drivers costs, for the process that makes them. Where trampolines
// and kprobes are refused they are seen at the system call, which costs the most and touches every
// other system call, too: that is measured then, beside what it adds to those.

import { spawn } from 'node:child_process'
import { KernelObject } from '../native/index.ts'
import { device, tableOf, watchDevice } from '../test/probes/gpu-watch.ts'
import { ScopeCgroup } from '../test/probes/scope-cgroup.ts'
import { median } from './figure.ts'
import type { Figure } from './figure.ts'
import { compile, compileBpf, loadMaker, temporaryFolder } from './rig.ts'
import type { LoadMaker } from './rig.ts'

const rounds = 9
const count = 300_000
/** `what` as ioctls.c numbers it. */
const loads = [
  { what: 0, name: 'the same control command again' },
  { what: 1, name: 'one of 64 control commands in turn' },
  { what: 2, name: 'another system call' },
]
const workAlone = 3
const programs = ['gpu_call_lsm', 'gpu_call_fentry', 'gpu_call_kprobe', 'gpu_call_sys_enter']

async function startCalls(cgroup: ScopeCgroup, folder: string): Promise<LoadMaker> {
  const enter = 'echo $$ > "$0" && exec "$@"'
  return loadMaker(spawn('/bin/sh', [
    '-c', enter, `${cgroup.path}/cgroup.procs`, compile('gpu_calls', folder), device.path,
    compileBpf('gpu_calls', folder),
  ], { stdio: ['pipe', 'pipe', 'inherit'] }))
}

/** ns of one run of the program that sees calls, by the kernel's statistics; by load. */
async function nsPerRun(cgroup: ScopeCgroup, load: LoadMaker): Promise<(number | undefined)[]> {
  const watch = watchDevice(cgroup)
  const off = KernelObject.enableStats()
  if (typeof off !== 'function') throw new Error(`statistics refused: ${off.code}`)
  try {
    const found: (number | undefined)[] = []
    for (const { what } of loads) {
      // The first call is told, the others are counted.
      await load.make(1000, what)
      const before = runsOf(watch.object)
      await load.make(count, what)
      const after = runsOf(watch.object)
      const runs = after.count - before.count
      found.push(runs < count / 2 ? undefined : (after.ns - before.ns) / runs)
    }
    return found
  } finally {
    off()
    watch.close()
  }
}

function runsOf(object: KernelObject): { count: number, ns: number } {
  const stats = object.programStats().filter(({ name }) =>
    programs.some((program) => name.startsWith(program.slice(0, 15))))
  return {
    count: stats.reduce((sum, { run_count: runs }) => sum + runs, 0),
    ns: stats.reduce((sum, { run_time_ns: ns }) => sum + ns, 0),
  }
}

export async function measure(): Promise<Figure[]> {
  const cgroup = new ScopeCgroup()
  const folder = temporaryFolder('/dev/shm')
  try {
    const load = await startCalls(cgroup, folder)
    const all: (number | undefined)[][] = []
    for (let i = 0; i <= rounds; i++) {
      const ns = await nsPerRun(cgroup, load)
      // The first round warms up.
      if (i > 0) all.push(ns)
    }
    const alone = await load.make(1, workAlone) * 1e9
    load.end()
    const ways = tableOf('').find(({ name }) => name === 'gpu_call')!.ways.length
    const figures: Figure[] = [{ name: 'work of the probe for a repeated call', value: alone,
      unit: 'ns', below: 150, note: 'decode, look up and count; median of 4,001 × 64' }]
    return figures.concat(loads.flatMap(({ what, name }, i) => {
      const values = all.flatMap((row) => row[i] ?? [])
      if (values.length === 0) return []
      return [{ name: `  ${name}`, value: median(values), unit: 'ns/run',
        note: what === 0 ? `best of ${ways} ways that this kernel allows, with what measuring ` +
          `costs; median of ${rounds} × ${count.toLocaleString('en-US')}` : 'the same' }]
    }))
  } finally {
    await cgroup.remove()
  }
}
