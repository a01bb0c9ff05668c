// datagram.c as the probe tests use it: run in the cgroup, in a network of its own.

import type { Probe } from '../../agent/probes/table.ts'
import type { Program, ScopeCgroup } from './scope-cgroup.ts'
import { datagramNames, everydayAnd } from './tables.ts'

/** A running datagram.c. */
export interface DatagramActor extends Program {
  /** One command; its number. Throws with the errno when it failed. */
  ask(command: string): Promise<number>
}

/** `prepare` is run by a shell in the new network namespace, before the program. */
export async function startDatagrams(
  cgroup: ScopeCgroup, path: string, prepare = '', outside = false,
): Promise<DatagramActor> {
  const script = `ip link set lo up; ${prepare} exec "$0"`
  const words = ['--net', '/bin/sh', '-c', script, path]
  const program = outside
    ? cgroup.startOutside('unshare', ...words)
    : cgroup.start('unshare', ...words)
  return await talkTo(program)
}

/** Another one, in the network namespace of `beside`. */
export async function joinDatagrams(
  cgroup: ScopeCgroup, path: string, beside: Program, outside = false,
): Promise<DatagramActor> {
  const words = ['--net', '--target', String(beside.pid), path]
  const program = outside
    ? cgroup.startOutside('nsenter', ...words)
    : cgroup.start('nsenter', ...words)
  return await talkTo(program)
}

async function talkTo(program: Program): Promise<DatagramActor> {
  const ask = async (command: string): Promise<number> => {
    program.tell(`${command}\n`)
    const line = await program.line()
    if (!/^\d+$/.test(line ?? '')) throw new Error(`${command}: ${line ?? 'the program ended'}`)
    return Number(line)
  }
  await ask('hello')
  return { ...program, ask }
}

/** The probes as they are, but totals of flows come soon: a test does not wait ten seconds. */
export const impatientTable: readonly Probe[] = everydayAnd(...datagramNames).map((probe) => ({
  ...probe,
  ways: probe.ways.map((way) => way.every_ms === undefined ? way : { ...way, every_ms: 40 }),
}))
