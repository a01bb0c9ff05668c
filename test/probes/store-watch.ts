// For the tests of the probes of stores: a folder of the test is a store, and a program reads it.

import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StoreLabels } from '../../agent/stores/labels.ts'
import type { Label } from '../../agent/stores/labels.ts'
import { probeTable } from '../../agent/probes/table.ts'
import type { Probe } from '../../agent/probes/table.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { compiled } from './compiled.ts'
import type { Program, ScopeCgroup } from './scope-cgroup.ts'
import { Watch } from './watch.ts'

/** What the tests need beside the probes of stores: who runs, and who ended. */
const others = ['store_process_end', 'process_exec', 'process_exit']
/** The walks of the tests come sooner than those of an agent. */
const walkMs = 500

/** The kinds of programs that can see reads of stores, best first. */
export const readWays = [...new Set(probeTable.find(({ name }) => name === 'store_read')!.ways
  .map(({ attach_type: type }) => type))]

/** The probes with reads seen in one way, or ways; stores or not. */
export function readTable(attachType: string): Probe[] {
  return probeTable.filter(({ name }) => name.startsWith('store_read') || others.includes(name))
    .map(({ needs: _, ...probe }) => ({
      ...probe,
      ways: probe.ways
        .filter(({ attach_type: type }) => probe.name !== 'store_read' || type === attachType)
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

/** Folders and mounts of a test, gone with it. */
export class Ground {
  readonly folder = mkdtempSync(join(tmpdir(), 'vedette-store-'))
  readonly #mounted: string[] = []

  /** A new folder. */
  make(name: string): string {
    const path = join(this.folder, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  /** A new folder with something mounted on it; the words of mount(8) but for the last. */
  mount(name: string, ...words: string[]): string {
    const place = this.make(name)
    execFileSync('mount', [...words, place])
    this.#mounted.push(place)
    return place
  }

  /** A new folder with a new ext4 on a loop device. */
  mountImage(name: string, mebibytes: number): string {
    const image = join(this.folder, `${name}.img`)
    execFileSync('truncate', ['-s', `${mebibytes}M`, image])
    execFileSync('mkfs.ext4', ['-q', '-F', image])
    return this.mount(name, '-o', 'loop', image)
  }

  remove(): void {
    for (const path of this.#mounted.reverse()) execFileSync('umount', ['-l', path])
    rmSync(this.folder, { recursive: true })
  }
}

/** A file of random-looking bytes, in whole or part zeros would be a hole on some file systems. */
export function writeFile(path: string, bytes: number): string {
  const fd = openSync(path, 'w')
  const block = Buffer.alloc(2 ** 20, 'vedette')
  for (let at = 0; at < bytes; at += block.length) {
    writeSync(fd, block, 0, Math.min(block.length, bytes - at))
  }
  closeSync(fd)
  return path
}

/** The label of a folder or file; `id` is the number of its store. */
export function labelOf(path: string, id: number): Label {
  const { dev, ino } = statSync(path, { bigint: true })
  return { device: kernelDevice(dev), inode: ino, id }
}

/** The label of a whole file system. */
export function labelOfAll(path: string, id: number): Label {
  return { ...labelOf(path, id), inode: 0n }
}

const labelsOf = new WeakMap<Watch, StoreLabels>()

/** These labels and no others, in the kernel of a watch. */
export function setLabels(watch: Watch, labels: readonly Label[]): void {
  const own = labelsOf.get(watch) ?? new StoreLabels(watch.object)
  labelsOf.set(watch, own)
  const failure = own.set(labels)
  if (failure) throw new Error(`${failure.operation}: ${failure.code} ${failure.detail}`)
}

/** Reads a file through a door of store-read.c; what it got, and its process. */
export async function readThrough(
  cgroup: ScopeCgroup, door: string, path: string, chunk = 65_536,
): Promise<{ bytes: number, program: Program }> {
  const words = [compiled('store-read.c'), door, path, String(chunk)]
  const program = door === 'inherited'
    ? cgroup.start('/bin/sh', '-c', 'exec 3< "$0" && exec "$@"', path, ...words)
    : cgroup.start(words[0], ...words.slice(1))
  const line = await program.line()
  if (line === undefined) throw new Error(`store-read ${door} ${path} failed`)
  return { bytes: Number(line), program }
}

/** What was told of reads of a process, by mechanism. */
export function readBytes(events: readonly EventJson[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const { mechanism, bytes } of events) {
    sums[String(mechanism)] = (sums[String(mechanism)] ?? 0) + Number(bytes)
  }
  return sums
}

/** As the kernel spells it (major << 20 | minor), of what stat() gives. */
function kernelDevice(dev: bigint): number {
  const major = dev >> 8n & 0xfffn | dev >> 32n & 0xfffff000n
  const minor = dev & 0xffn | dev >> 12n & 0xffffff00n
  return Number(major << 20n | minor)
}
