import { describe, expect, it } from 'vitest'
import { packState, unpackState } from '../state/snapshot.ts'
import type { EngineState } from '../state/snapshot.ts'
import { GpuStates } from './gpu-states.ts'
import type { GpuStateFacts } from './gpu-states.ts'

const facts = (more: Partial<GpuStateFacts> = {}): GpuStateFacts => ({
  node_id: 'node-1', boot_id: 'b', seq: 1, subject: 'driver', item: 'version', value: '570.124.06',
  old_value: '', reading: 'known', reason: '', ...more,
})
const baseline = (value: string) => ({
  path: 'h100.yaml', sha256: value, key_id: '',
  text: `version: 1\nnode_class: h100\nitems:\n  - {subject: driver, item: version, value: "${value}"}\n`,
})

describe('the state of the GPUs of a node', () => {
  it('is what was told last, and says what became different', () => {
    const states = new GpuStates(() => null)
    states.learn(facts(), 1000, 1000)
    expect(states.changes).toMatchObject([{ old: '', isNews: false, of: 'driver', checked: null }])
    states.learn(facts({ seq: 2 }), 2000, 2000)
    expect(states.changes).toEqual([])
    // Another agent tells it for the first time, too: it became different while nobody watched.
    states.learn(facts({ seq: 3, value: '570.211.01' }), 3000, 3000)
    expect(states.changes).toMatchObject([{ old: '570.124.06', isNews: true }])
    expect(states.item('node-1', 'driver', 'version')).toMatchObject(
      { value: '570.211.01', sinceMs: 3000, changes: 1, seq: 3 })
  })

  it('remembers the last value that was known over readings that failed', () => {
    const states = new GpuStates(() => null)
    states.learn(facts(), 0, 0)
    states.learn(facts({ value: '', reading: 'unknown', reason: 'gone' }), 1, 1)
    expect(states.changes).toMatchObject([{ old: '570.124.06', now: { reading: 'unknown' } }])
    states.learn(facts({ value: '535.104.05' }), 2, 2)
    expect(states.changes).toMatchObject([{ old: '570.124.06', now: { value: '535.104.05' } }])
  })

  it('is compared again when its baseline is another one, and only then', () => {
    const states = new GpuStates((node) => node === 'node-1' ? 'h100.yaml' : null)
    states.learn(facts(), 0, 0)
    states.learn(facts({ node_id: 'node-2' }), 0, 0)
    states.apply(baseline('570.211.01'))
    expect(states.changes.map(({ node_id, checked }) => [node_id, checked?.verdict]))
      .toEqual([['node-1', 'differs']])
    states.apply(baseline('570.211.01'))
    expect(states.changes).toEqual([])
    states.judgeAgain(['node-1'])
    expect(states.changes).toEqual([])
    states.apply(baseline('570.124.06'))
    expect(states.changes).toEqual([])
    states.apply({ ...baseline('x'), text: 'version: 2' })
    expect([states.baselines.refused, states.baselineFor('node-1')?.sha256]).toEqual([1, '570.124.06'])
    states.baselines.retain([])
    expect(states.baselineFor('node-1')).toBeNull()
  })

  it('has bounds, and counts what does not fit', () => {
    const states = new GpuStates(() => null, { nodesMax: 3, itemsPerNodeMax: 2, itemsMax: 5 })
    for (let i = 0; i < 30; i++) states.learn(facts({ node_id: `n${i % 10}`, item: `i${i}` }), i, i)
    expect([...states.nodes()].length).toBeLessThanOrEqual(3)
    expect(states.size).toBeLessThanOrEqual(5)
    expect(states.evictions).toBeGreaterThan(0)
    for (let i = 0; i < 9; i++) states.learn(facts({ node_id: 'n9', item: `j${i}` }), i, i)
    expect(states.left).toBeGreaterThan(0)
    expect([...states.itemsOf('n9')].length).toBe(2)
  })

  it('names many baselines within bounds', () => {
    const { baselines } = new GpuStates(() => null)
    for (let i = 0; i < 100; i++) baselines.apply({ ...baseline('1'), path: `${i}.yaml` })
    expect([baselines.identities().size, baselines.evictions]).toEqual([64, 36])
  })

  it('comes back from a snapshot as it was', () => {
    const states = new GpuStates(() => 'h100.yaml', { nodesMax: 3 })
    states.apply(baseline('570.124.06'))
    for (let i = 0; i < 9; i++) states.learn(facts({ node_id: `n${i}` }), i, i)
    states.unnamedSubject('n8', 9)
    const packed = packState({ gpus: states.snapshot() } as EngineState)
    const again = new GpuStates(() => 'h100.yaml', { nodesMax: 3 })
    again.restore(unpackState(packed).gpus)
    expect(again.snapshot()).toEqual(states.snapshot())
    expect(again.size).toBe(3)
    expect(again.named('n8', 'job:1', 10)).toEqual(['GPUs of n8'])
    expect(again.unnamedSubject('n8', 20)).toBe('job:1')
    expect(again.unnamedSubject('n8', 200_000)).toBe('GPUs of n8')
  })
})
