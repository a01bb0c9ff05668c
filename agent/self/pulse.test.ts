import { describe, expect, it, vi } from 'vitest'
import { Decoder } from '../decode.ts'
import { sampleOpen, sampleRead } from '../sample/records.ts'
import { eventsOf, framesIn, sampleSpool, withFolder } from '../sample/spool.ts'
import type { KernelCount } from '../spool/accounts.ts'
import { Pulse } from './pulse.ts'

const connectionOpen = 20
const probe = {
  probe: 'connection_state', state: 'attached', program: 'p', attach_type: 'tp_btf', error: 0,
  reason: '', lost: '',
}

/** A spool behind a decoder, and a pulse whose kernel counts are `counts`. */
function rig(dir: string) {
  const counts: KernelCount[] = []
  const faults: Record<string, number> = {}
  const spool = sampleSpool(dir)
  const decoder = new Decoder(spool)
  const execsLost = vi.fn()
  const pulse = new Pulse({
    spool, decoder, execsLost, version: '1.2.3', scopeCgroup: '/a', heartbeatIntervalMs: 60_000,
    clock: { now: () => ({ bootNs: 7_000_000_000n, wallNs: 8_000_000_000n }) },
    probes: [probe], kernel: { counters: () => counts, faults: () => faults }, undeliverable: () => 4,
  })
  const read = (records: Buffer[]) => {
    const { record, bytes } = sampleRead(records)
    decoder.decode(record, bytes)
  }
  return { counts, faults, spool, decoder, pulse, read, execsLost }
}

const bad = () => {
  const bytes = sampleOpen()
  bytes.writeUInt16LE(99, 10)
  return bytes
}

const fields = [
  'event_kind', 'produced', 'lost', 'malformed', 'dropped', 'stored', 'count', 'stage', 'first_seq',
  'probe', 'state', 'previous_run', 'events_lost', 'probes_attached', 'probes_missing', 'version',
]
const only = (dir: string, kind: string) => eventsOf(framesIn(dir), ...fields)
  .filter((event) => event.kind === kind).map(({ values }) => values)

describe('Pulse', () => {
  it('says who began, what the probes see, and beats at once', () => withFolder(async (dir) => {
    const { pulse, spool } = rig(dir)
    pulse.begin('unclean')
    pulse.setProbe({ ...probe, state: 'missing' })
    await pulse.end()
    await spool.close()
    expect(only(dir, 'agent_start')).toMatchObject(
      [{ version: '1.2.3', previous_run: 'unclean', first_seq: spool.firstSeq }])
    expect(only(dir, 'probe_state').map(({ state }) => state)).toEqual(['attached', 'missing'])
    expect(only(dir, 'heartbeat')).toMatchObject([
      { probes_attached: 1, probes_missing: 0, events_lost: 4 },
      { probes_attached: 0, probes_missing: 1, events_lost: 4 },
    ])
  }))

  it('tells what a probe could not do, once', () => withFolder(async (dir) => {
    const { pulse, spool, faults } = rig(dir)
    pulse.begin('none')
    Object.assign(faults, { runs_missed: 3, args_unreadable: 9 })
    pulse.beat()
    await pulse.end()
    await spool.close()
    expect(only(dir, 'gap')).toMatchObject([{ event_kind: 'unknown', count: 3, stage: 'probe' }])
  }))

  it('accounts exactly for what was lost, malformed and stored', () => withFolder(async (dir) => {
    const { pulse, spool, counts, read, decoder } = rig(dir)
    pulse.begin('none')
    read([sampleOpen(), sampleOpen(), bad()])
    expect(decoder.readsCut).toBe(1)
    counts.push({ kind: connectionOpen, produced: 13, lost: 10, over_quota: 0 })
    await pulse.end()
    await spool.close()
    expect(only(dir, 'ledger').filter(({ event_kind: kind }) => kind === 'connection_open')).toMatchObject(
      [{ produced: 13, lost: 10, malformed: 1, dropped: 0, stored: 2, first_seq: spool.firstSeq }])
    expect(only(dir, 'gap')).toMatchObject([
      { event_kind: 'connection_open', count: 10, stage: 'ring' },
      { event_kind: 'connection_open', count: 1, stage: 'decode' },
    ])
  }))

  it('finds in the end what was in reads that had to be cut off', () => withFolder(async (dir) => {
    const { pulse, spool, counts, read } = rig(dir)
    pulse.begin('none')
    read([sampleOpen(), bad(), sampleOpen(), sampleOpen()])
    counts.push({ kind: connectionOpen, produced: 4, lost: 0, over_quota: 0 })
    await pulse.end()
    await spool.close()
    expect(only(dir, 'ledger').filter(({ event_kind: kind }) => kind === 'connection_open').at(-1))
      .toMatchObject({ produced: 4, lost: 0, malformed: 3, dropped: 0, stored: 1 })
    const told = only(dir, 'gap').reduce((sum, { count }) => sum + Number(count), 0)
    expect(told).toBe(3)
  }))

  it('distrusts what is known of processes when execs were lost, and only then', () =>
    withFolder(async (dir) => {
      const { pulse, spool, counts, execsLost } = rig(dir)
      pulse.begin('none')
      counts.push({ kind: connectionOpen, produced: 5, lost: 5, over_quota: 0 })
      pulse.beat()
      expect(execsLost).not.toHaveBeenCalled()
      counts.push({ kind: 10, produced: 1, lost: 1, over_quota: 0 })
      pulse.beat()
      expect(execsLost).toHaveBeenCalledOnce()
      await pulse.end()
      await spool.close()
    }))

  it('repeats no ledger that did not change', () => withFolder(async (dir) => {
    const { pulse, spool, counts } = rig(dir)
    counts.push({ kind: connectionOpen, produced: 5, lost: 5, over_quota: 0 })
    pulse.begin('none')
    for (let beat = 0; beat < 5; beat++) pulse.beat()
    await spool.flush()
    const told = only(dir, 'ledger').filter(({ event_kind: kind }) => kind === 'connection_open')
    expect(told).toHaveLength(1)
    await pulse.end()
    await spool.close()
  }))
})
