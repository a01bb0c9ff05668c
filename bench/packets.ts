// What counting datagrams costs: those who send them, and TCP, whose packets pass the same hooks.
// A slowdown is the time with the hooks attached over that without, just before and just after.

import { spawn } from 'node:child_process'
import { probeTable } from '../agent/probes/table.ts'
import { KernelObject } from '../native/index.ts'
import { ScopeCgroup } from '../test/probes/scope-cgroup.ts'
import { median } from './figure.ts'
import type { Figure } from './figure.ts'
import { compile, loadMaker, temporaryFolder } from './rig.ts'
import type { LoadMaker } from './rig.ts'
import { BenchWatch } from './watch.ts'

const rounds = 9
const names = ['datagram_flow', 'dns_answer']
const table = probeTable.filter(({ name }) => names.includes(name))
const programs = ['flow_egress', 'flow_ingress', 'dns_answer_ingress']

/** `what` as packets.c numbers it. */
const loads = [
  { what: 0, name: 'TCP stream, 64 KiB pieces', count: 8000, below: 1.03 },
  { what: 1, name: 'TCP request and answer of 1 byte', count: 20_000, below: 1.1 },
  { what: 2, name: 'UDP datagram of 100 bytes, sent and received', count: 100_000, below: 1.2 },
  { what: 3, name: 'UDP datagram to a new peer each, sent', count: 40_000 },
]

async function startPackets(cgroup: ScopeCgroup, folder: string): Promise<LoadMaker> {
  const enter = 'echo $$ > "$0" && ip link set lo up && exec "$1"'
  return loadMaker(spawn('unshare', [
    '--net', '/bin/sh', '-c', enter, `${cgroup.path}/cgroup.procs`, compile('packets', folder),
  ], { stdio: ['pipe', 'pipe', 'inherit'] }))
}

/** Time with the hooks over time without. */
async function slowdown(
  cgroup: ScopeCgroup, load: LoadMaker, count: number, what: number,
): Promise<{ ratio: number, addedNs: number }> {
  const ratios: number[] = []
  const added: number[] = []
  await load.make(count, what)
  for (let i = 0; i < rounds; i++) {
    const before = await load.make(count, what)
    const watch = new BenchWatch(cgroup, { scope_cgroup_dir: cgroup.path }, table)
    const during = await load.make(count, what)
    watch.close()
    const without = (before + await load.make(count, what)) / 2
    ratios.push(during / without)
    added.push((during - without) * 1e9 / count)
  }
  return { ratio: median(ratios), addedNs: median(added) }
}

/** ns of one run of each program, by the kernel's statistics. */
async function nsPerRun(
  cgroup: ScopeCgroup, load: LoadMaker, count: number, what: number,
): Promise<number[]> {
  const watch = new BenchWatch(cgroup, { scope_cgroup_dir: cgroup.path }, table)
  const off = KernelObject.enableStats()
  if (typeof off !== 'function') throw new Error(`statistics refused: ${off.code}`)
  try {
    await load.make(count, what)
    const stats = watch.object.programStats()
    return programs.map((name) => {
      // The kernel keeps 15 bytes of a name.
      const found = stats.find((one) => one.name.startsWith(name.slice(0, 15)))
      return (found?.run_time_ns ?? 0) / Math.max(1, found?.run_count ?? 0)
    })
  } finally {
    off()
    watch.close()
  }
}

export async function measure(): Promise<Figure[]> {
  const cgroup = new ScopeCgroup()
  const folder = temporaryFolder('/dev/shm')
  const figures: Figure[] = []
  try {
    const load = await startPackets(cgroup, folder)
    for (const { what, name, count, below } of loads) {
      const { ratio, addedNs } = await slowdown(cgroup, load, count, what)
      figures.push({ name, value: ratio, unit: '× the time', below,
        note: `median of ${rounds}; ${addedNs.toFixed(0)} ns more for each` })
      const ns = await nsPerRun(cgroup, load, count, what)
      programs.forEach((program, i) => {
        if (ns[i] === 0) return
        figures.push({ name: `  ${program}`, value: ns[i], unit: 'ns/run', note: name })
      })
    }
    load.end()
    return figures
  } finally {
    await cgroup.remove()
  }
}
