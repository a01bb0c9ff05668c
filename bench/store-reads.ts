// What it costs a process that its reads of stores are counted: reads of 4 KiB out of the page
// cache as fast as they go, with the probe attached and without, in turn. Where the kernel refuses
// trampolines and kprobes, reads are seen at the end of system calls, which costs all of them: then
// also with a program there that does nothing, so that it is known what of it is the kernel's, and
// with one that looks up something in a map.

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
import { compile, compileBpf, loadMaker, temporaryFolder } from './rig.ts'
import type { LoadMaker } from './rig.ts'

const rounds = 61
const count = 30_000
/** `what` as store_reads.c numbers it. */
const loads = [
  { what: 0, name: 'a read of 4 KiB of a store', below: 100, ofStore: true },
  { what: 1, name: 'a read of 4 KiB of no store, on its file system', ofStore: false },
  { what: 2, name: 'a read of 4 KiB of a file system without stores', ofStore: false },
  { what: 3, name: 'another system call', ofStore: false },
]
const attachNothing = 4
const attachLookUp = 5
const detach = 6
const fileBytes = 2 ** 20

function startReads(cgroup: ScopeCgroup, folder: string, files: string[]): Promise<LoadMaker> {
  const enter = 'echo $$ > "$0" && exec "$@"'
  return loadMaker(spawn('/bin/sh', [
    '-c', enter, `${cgroup.path}/cgroup.procs`, compile('store_reads', folder), ...files,
    compileBpf('store_reads', folder),
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

/** ns of CPU per call of each load. */
async function nsPerCall(load: LoadMaker): Promise<number[]> {
  const all: number[] = []
  for (const { what } of loads) all.push(await load.make(count, what) * 1e9 / count)
  return all
}

interface Rounds {
  without: number[][]
  nothing: number[][]
  lookUp: number[][]
  counted: number[][]
}

/** In turn, so that a machine that drifts does so for all. */
async function measureRounds(
  load: LoadMaker, watch: Watch, programs: string[], atCalls: boolean,
): Promise<Rounds> {
  const all: Rounds = { without: [], nothing: [], lookUp: [], counted: [] }
  const beside = async (program: number): Promise<number[]> => {
    await load.make(1, program)
    const ns = await nsPerCall(load)
    await load.make(1, detach)
    return ns
  }
  programs.forEach((program) => watch.object.detach(program))
  for (let round = 0; round <= rounds; round++) {
    const without = await nsPerCall(load)
    const nothing = atCalls ? await beside(attachNothing) : without
    const lookUp = atCalls ? await beside(attachLookUp) : without
    attach(watch, programs)
    const counted = await nsPerCall(load)
    programs.forEach((program) => watch.object.detach(program))
    // The first round warms up.
    if (round === 0) continue
    all.without.push(without)
    all.nothing.push(nothing)
    all.lookUp.push(lookUp)
    all.counted.push(counted)
  }
  return all
}

function figuresOf({ without, nothing, lookUp, counted }: Rounds, way: string): Figure[] {
  return loads.flatMap(({ what: _, name, ofStore, ...goal }, i) => {
    const more = (rows: number[][], than: number[][]): number =>
      Math.max(0, median(rows.map((row, at) => row[i] - than[at][i])))
    const [on, off] = [median(counted.map((row) => row[i])), median(without.map((row) => row[i]))]
    const figures: Figure[] = [{
      name: `${name}: more`, value: more(counted, without), unit: 'ns', ...goal,
      note: `${on.toFixed(0)} ns with, ${off.toFixed(0)} without (${way}); median of ` +
        `${rounds} × ${count.toLocaleString('en-US')}`,
    }]
    if (way === 'tp_btf') {
      figures.push({
        name: '  of which ours', value: more(counted, nothing), unit: 'ns',
        // What is of no store may cost a look-up.
        ...(ofStore ? {} : { below: more(lookUp, nothing) }),
        note: `a program that does nothing costs ${more(nothing, without).toFixed(0)} ns, a ` +
          `look-up in a map ${more(lookUp, nothing).toFixed(0)}`,
      })
    }
    return figures
  })
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
    const all = await measureRounds(load, watch, programs, way === 'tp_btf')
    load.end()
    return figuresOf(all, way)
  } finally {
    watch.close()
    await cgroup.remove()
  }
}
