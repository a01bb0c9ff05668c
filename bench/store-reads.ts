// What it costs a process that its reads of stores are counted: reads of 4 KiB out of the page
// cache as fast as they go, with the probe attached and without, in turn. Where the kernel refuses
// trampolines and kprobes, reads are seen at the end of system calls, which costs all of them.

import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { labelOf, writeFile } from '../test/probes/store-ground.ts'
import { readWays, setLabels, watchReads } from '../test/probes/store-watch.ts'
import { ScopeCgroup } from '../test/probes/scope-cgroup.ts'
import type { Watch } from '../test/probes/watch.ts'
import { median } from './figure.ts'
import type { Figure } from './figure.ts'
import { compile, loadMaker, temporaryFolder } from './rig.ts'
import type { LoadMaker } from './rig.ts'

const rounds = 15
const count = 200_000
/** `what` as store_reads.c numbers it. */
const loads = [
  { what: 0, name: 'of a store', below: 100 },
  { what: 1, name: 'of no store, on its file system' },
  { what: 2, name: 'of a file system without stores' },
  { what: 3, name: 'another system call' },
]
const fileBytes = 2 ** 20

function startReads(cgroup: ScopeCgroup, folder: string, files: string[]): Promise<LoadMaker> {
  const enter = 'echo $$ > "$0" && exec "$@"'
  return loadMaker(spawn('/bin/sh', [
    '-c', enter, `${cgroup.path}/cgroup.procs`, compile('store_reads', folder), ...files,
  ], { stdio: ['pipe', 'pipe', 'inherit'] }))
}

/** In the best way that this kernel allows. */
function watchHere(cgroup: ScopeCgroup): { watch: Watch, way: string, programs: string[] } {
  for (const way of readWays) {
    const watch = watchReads(cgroup, way)
    if (typeof watch === 'string') continue
    const programs = watch.states.find(({ probe }) => probe === 'store_read')!.program.split(', ')
    return { watch, way, programs }
  }
  throw new Error('this kernel shows no reads of stores')
}

function attach(watch: Watch, programs: string[]): void {
  for (const program of programs) {
    const failure = watch.object.attach(program)
    if (failure) throw new Error(`${program}: ${failure.code}`)
  }
}

export async function measure(): Promise<Figure[]> {
  const cgroup = new ScopeCgroup()
  const [memory, disk] = [temporaryFolder('/dev/shm'), temporaryFolder(tmpdir())]
  const { watch, way, programs } = watchHere(cgroup)
  try {
    const set = join(disk, 'set')
    mkdirSync(set)
    const files = [join(set, 'a'), join(disk, 'b'), join(memory, 'c')]
    files.forEach((file) => writeFile(file, fileBytes))
    setLabels(watch, [labelOf(set, 1)])
    const load = await startReads(cgroup, memory, files)
    const all = loads.map(() => ({ without: [] as number[], with: [] as number[] }))
    for (let round = 0; round <= rounds; round++) {
      for (const [i, { what }] of loads.entries()) {
        for (const [kind, change] of [
          ['without', () => programs.forEach((program) => watch.object.detach(program))],
          ['with', () => attach(watch, programs)],
        ] as const) {
          change()
          const ns = await load.make(count, what) * 1e9 / count
          // The first round warms up.
          if (round > 0) all[i][kind].push(ns)
        }
      }
    }
    load.end()
    return loads.map(({ name, ...goal }, i) => {
      const [without, on] = [median(all[i].without), median(all[i].with)]
      const added = median(all[i].with.map((ns, at) => ns - all[i].without[at]))
      return {
        name: i < 3 ? `a read of 4 KiB ${name}: more` : name, value: Math.max(0, added),
        unit: 'ns', ...('below' in goal ? { below: goal.below } : {}),
        note: `${on.toFixed(0)} ns with, ${without.toFixed(0)} without (${way}); median of ` +
          `${rounds} × ${count.toLocaleString('en-US')}`,
      }
    })
  } finally {
    watch.close()
    await cgroup.remove()
  }
}
