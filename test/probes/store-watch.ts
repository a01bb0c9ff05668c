// For the tests of the probes of stores: a folder of the test is a store, and a program reads it.

import { setTimeout as sleep } from 'node:timers/promises'
import { StoreLabels } from '../../agent/stores/labels.ts'
import type { Label } from '../../agent/stores/labels.ts'
import { probeTable } from '../../agent/probes/table.ts'
import type { Probe } from '../../agent/probes/table.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { compiled } from './compiled.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { waysToTry } from './tables.ts'
import { Watch } from './watch.ts'

/** What the tests need beside the probes of stores: who runs, and who ended. */
const others = ['store_process_end', 'process_exec', 'process_exit']
/** Those that see reads in several ways. */
const choosing = ['store_read', 'store_read_huge']
/** The walks of the tests come sooner than those of an agent. */
const walkMs = 100

/** The kinds of programs that can see reads of stores, best first. */
export const readWays = [...new Set(probeTable.find(({ name }) => name === 'store_read')!.ways
  .map(({ attach_type: type }) => type))]

/** The probes with reads seen in one way, or ways; stores or not. */
function readTable(attachType: string): Probe[] {
  return probeTable.filter(({ name, unless }) => others.includes(name) ||
    (name.startsWith('store_read') && unless?.attach_type !== attachType))
    .map(({ needs: _, ...probe }) => ({
      ...probe,
      ways: probe.ways
        .filter(({ attach_type: type }) => type === attachType || !choosing.includes(probe.name))
        .map((way) => way.every_ms ? { ...way, every_ms: walkMs } : way),
    }))
}

/** A watch of one way of seeing reads; undefined, and why, when this kernel refuses it. */
export function watchReads(cgroup: ScopeCgroup, attachType: string): Watch | string {
  const watch = new Watch(cgroup, readTable(attachType))
  const state = watch.states.find(({ probe }) => probe === 'store_read')!
  if (state.state !== 'missing') return watch
  watch.close()
  return state.reason
}

/** The kinds of programs by which this kernel lets reads be seen and that are tried, best first. */
export function waysOfReads(): string[] {
  const cgroup = new ScopeCgroup()
  const able = readWays.filter((way) => {
    const watch = watchReads(cgroup, way)
    if (typeof watch !== 'string') watch.close()
    else process.stderr.write(`!! SKIPPED: reads of stores by ${way}: ${watch}\n`)
    return typeof watch !== 'string'
  })
  void cgroup.remove()
  return waysToTry(able)
}

const labelsOf = new WeakMap<Watch, StoreLabels>()

/** These labels and no others, in the kernel of a watch. */
export function setLabels(watch: Watch, labels: readonly Label[]): void {
  const own = labelsOf.get(watch) ?? new StoreLabels(watch.object)
  labelsOf.set(watch, own)
  const failure = own.set(labels)
  if (failure) throw new Error(`${failure.operation}: ${failure.code} ${failure.detail}`)
}

/** Reads a file through a door of store_read.c; what it got, and its process. */
export async function readThrough(
  cgroup: ScopeCgroup, door: string, path: string, chunk = 65_536,
): Promise<{ bytes: number, program: Program }> {
  const words = [compiled('store_read.c'), door, path, String(chunk)]
  const program = door === 'inherited'
    ? cgroup.start('/bin/sh', '-c', 'exec 3< "$0" && exec "$@"', path, ...words)
    : cgroup.start(words[0], ...words.slice(1))
  const line = await program.line()
  if (line === undefined) throw new Error(`store-read ${door} ${path} failed`)
  return { bytes: Number(line), program }
}

/**
 * Everything that was told of reads of a process that was asked to end: a walk tells the rest after
 * its end, and the timers of walks run in their order.
 */
export async function reportsOf(watch: Watch, pid: number): Promise<EventJson[]> {
  await watch.first('process_exit', { pid })
  await sleep(3 * walkMs)
  return watch.seen('store_read', { pid })
}

/** What was told of reads of a process, by mechanism. */
export function readBytes(events: readonly EventJson[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const { mechanism, bytes } of events) {
    sums[String(mechanism)] = (sums[String(mechanism)] ?? 0) + Number(bytes)
  }
  return sums
}
