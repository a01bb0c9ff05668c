// What an agent does with the kernel, for the probe tests: probes, source, batches, events.
// Limited to one cgroup, so that nothing else on the machine is seen.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { openProbes } from '../../agent/probes.ts'
import type { OpenProbes, ProbeOptions } from '../../agent/probes.ts'
import { probeTable } from '../../agent/probes/table.ts'
import type { Probe } from '../../agent/probes/table.ts'
import { Source } from '../../agent/source.ts'
import type { KernelObject } from '../../native/index.ts'
import type { RecordBuffer } from '../../proto/columns.ts'
import { BatchBuilder } from '../../proto/batch-builder.ts'
import { decodeBatch } from '../../proto/batch.ts'
import { BatchCursor } from '../../proto/batch-cursor.ts'
import { eventJson } from '../../proto/event-json.ts'
import type { EventJson } from '../../proto/event-json.ts'
import { kindInfos, recordHeader } from '../../proto/gen/events.ts'
import { completeDnsRecord } from '../../agent/enrich/dns-record.ts'
import type { ScopeCgroup } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'

// Most that a test waits for: only a failing one does. Emulated kernels are ten times slower.
const waitMsMax = 25_000
const ringBytes = 2 ** 20
const dnsAnswer = kindInfos.find(({ kind }) => kind === 'dns_answer')?.number

/** Why these tests cannot run here; '' when they can. */
export function whyNot(): string {
  if (process.getuid?.() !== 0) return 'probe tests need root: run sudo npm test'
  return ''
}

export class Watch {
  readonly object: KernelObject
  readonly states: OpenProbes['states']
  /** The probes of kernel modules. */
  readonly late: NonNullable<OpenProbes['late']>
  /** Everything seen so far, in order. */
  readonly events: EventJson[] = []
  /** What the probes could not do; known after close(). */
  faults: Record<string, number> = {}
  /** Told of every record as it comes: for what the agent does with records on their way. */
  tap: (record: RecordBuffer, at: number, kind: number) => void = () => {}
  #closed = false
  readonly #source: Source
  readonly #builder = new BatchBuilder({
    eventsMax: 65_536,
    factsOf: () => ({ exe: '', cgroup_path: '', workload: '' }),
  })
  readonly #bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replace(/[-\n]/g, '')

  /**
   * Attaches, runs the iterators, and begins to collect. `table`: other probes than those of
   * processes and TCP, or other ways to attach; `limits`: other sizes, or quotas, of which there are
   * none by default.
   */
  constructor(
    cgroup: ScopeCgroup, table: readonly Probe[] = everydayAnd(),
    limits: Partial<ProbeOptions> = {},
  ) {
    const { object, states, iterators, late } = openProbes({
      ring_bytes: ringBytes, sockets_max: 1024,
      scope_cgroup_id: cgroup.id, scope_cgroup_level: cgroup.level,
      scope_cgroup_dir: cgroup.path, ...limits,
    }, undefined, table)
    if (!object) throw new Error(`no probe could be loaded: ${states[0].reason}`)
    this.object = object
    this.late = late!
    this.states = states
    this.#source = new Source({
      kernel: object, ring_bytes: ringBytes, iterators,
      consume: (records, bytes) => this.#consume(records, bytes),
      failed: (program, failure) => {
        throw new Error(`${program}: ${failure.operation} failed: ${failure.code}`)
      },
    })
    this.#source.start()
  }

  /** What this kernel lets a probe see. */
  sees(probe: string): boolean {
    return this.states.some((state) => state.probe === probe && state.state !== 'missing')
  }

  /** The events of a kind with these values, so far. */
  seen(kind: string, values: EventJson = {}): EventJson[] {
    return this.events.filter((event) => event['kind'] === kind &&
      Object.entries(values).every(([key, value]) => event[key] === value))
  }

  /** The first event of a kind with these values, now or later. */
  async first(kind: string, values: EventJson = {}): Promise<EventJson> {
    return (await this.atLeast(1, kind, values))[0]
  }

  /** Waits until there are so many. */
  async atLeast(count: number, kind: string, values: EventJson = {}): Promise<EventJson[]> {
    const end = performance.now() + waitMsMax
    for (;;) {
      const found = this.seen(kind, values)
      if (found.length >= count) return found
      if (performance.now() > end) break
      await sleep(10)
    }
    const kinds = this.seen(kind).slice(-8).map((event) => JSON.stringify(event)).join('\n')
    throw new Error(`waited for ${count} × ${kind} ${JSON.stringify(values)}; last saw:\n${kinds}`)
  }

  /**
   * Everything that happened in the cgroup before this call has been seen when it returns: a
   * program is run there, and its end awaited.
   */
  async settle(cgroup: ScopeCgroup): Promise<void> {
    const marker = cgroup.start('/bin/true')
    await this.first('process_exit', { pid: marker.pid })
  }

  /** Stops, after everything that the kernel still holds came. May be called twice. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#source.stop()
    this.faults = this.object.faults()
    this.object.close()
  }

  #consume(records: RecordBuffer, bytes: number): void {
    for (let at = 0; at < bytes; at += records.u16[(at + recordHeader.size) >> 1]) {
      const kind = records.u16[(at + recordHeader.kind) >> 1]
      if (kind === dnsAnswer) completeDnsRecord(records, at)
      this.tap(records, at, kind)
      this.#builder.appendRecord(records, at)
    }
    const batch = decodeBatch(this.#builder.encode({
      node_id: 'test', boot_id: this.#bootId, first_seq: this.events.length + 1,
      clock_offset_ns: 0n,
    }))
    new BatchCursor().forEach(batch, (event) => void this.events.push(eventJson(event)))
  }
}

/** What tells of a kernel which kinds of program it refuses, as the states of others need it. */
const companions = new Set(['connection_accept', 'process_exit'])

/**
 * Why a probe sees nothing on this kernel, from its own state; '' when it does. Loads few others:
 * to load all of them takes an emulated kernel seconds.
 */
export function whyBlind(probe: string): string {
  const { object, states } = openProbes({
    ring_bytes: ringBytes, sockets_max: 1, scope_cgroup_id: 1n, scope_cgroup_level: 0,
  }, undefined, probeTable.filter(({ name }) => name === probe || companions.has(name)))
  object?.close()
  const state = states.find((one) => one.probe === probe)
  if (!state) throw new Error(`there is no probe ${probe}`)
  if (state.state !== 'missing') return ''
  if (state.lost === '' || state.reason === '') throw new Error(`${probe} does not say why`)
  // A refusal of one program and not of its kind is a defect of the program.
  if (/: load failed/.test(state.reason)) throw new Error(`${probe}: ${state.reason}`)
  return `here nobody sees ${state.lost}: ${state.reason}`
}
