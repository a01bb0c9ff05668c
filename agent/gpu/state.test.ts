import { describe, expect, it } from 'vitest'
import { GpuState } from './state.ts'
import type { Reading } from './state.ts'
import { known, notSupported, unknown } from '../../gpu/state/item.ts'
import type { GpuItem } from '../../gpu/state/item.ts'

const place = (item: string, subject = 'driver') => ({ subject, item, source: 's' })
const reading = (items: GpuItem[], more: Partial<Reading> = {}): Reading => ({ items, answered: true, ...more })
const brief = (changes: ReturnType<GpuState['apply']>) =>
  changes.map(({ now, oldValue, changes: count }) => [now.item, now.reading, now.value, oldValue, count])

describe('GpuState', () => {
  it('tells an item once, and again when value or reading are different', () => {
    const state = new GpuState()
    expect(brief(state.apply('r', reading([known(place('version'), '1')]), 0)))
      .toEqual([['version', 'known', '1', '', 0]])
    expect(state.apply('r', reading([known(place('version'), '1')]), 1)).toEqual([])
    expect(brief(state.apply('r', reading([known(place('version'), '2')]), 2)))
      .toEqual([['version', 'known', '2', '1', 1]])
    expect(brief(state.apply('r', reading([unknown(place('version'), 'EIO')]), 3)))
      .toEqual([['version', 'unknown', '', '2', 2]])
    expect(state.apply('r', reading([unknown(place('version'), 'EACCES')]), 4)).toEqual([])
    // Old and new value are the same: it came back, and did not drift.
    expect(brief(state.apply('r', reading([known(place('version'), '2')]), 5)))
      .toEqual([['version', 'known', '2', '2', 3]])
    expect(brief(state.apply('r', reading([notSupported(place('version'))]), 6)))
      .toEqual([['version', 'not_supported', '', '2', 4]])
  })

  it('tells what is gone once, and remembers what it was', () => {
    const state = new GpuState()
    state.apply('r', reading([known(place('a'), '1')]), 0)
    state.apply('other', reading([known(place('b'), '1')]), 0)
    const [gone] = state.apply('r', reading([]), 1)
    expect(gone.now).toMatchObject({ item: 'a', reading: 'unknown', reason: 'it is no longer there' })
    expect(state.apply('r', reading([]), 2)).toEqual([])
    expect(brief(state.apply('r', reading([known(place('a'), '9')]), 3))).toEqual([['a', 'known', '9', '1', 2]])
  })

  it('keeps what nobody answers for a while, and then says that it is not known', () => {
    const state = new GpuState({ staleMs: 100 })
    const silence = reading([], { answered: false, reason: 'it hangs' })
    state.apply('r', reading([known(place('a'), '1'), unknown(place('b'), 'x')]), 0)
    expect(state.apply('r', silence, 100)).toEqual([])
    const [stale, ...more] = state.apply('r', silence, 101)
    expect(stale.now).toMatchObject({ item: 'a', reading: 'unknown', reason: 'it hangs' })
    expect(more).toEqual([])
    expect(state.apply('r', silence, 500)).toEqual([])
  })

  it('does not take a silent subject or a skipped item for gone', () => {
    const state = new GpuState({ staleMs: 100 })
    const all = [known(place('ecc', 'gpu:1'), 'on'), known(place('ecc', 'gpu:2'), 'on'), known(place('flash'), 'valid')]
    state.apply('r', reading(all), 0)
    const later = state.apply('r', reading([], { silent: new Set(['gpu:1']), skipped: new Set(['flash']) }), 50)
    expect(later.map(({ now }) => now.subject)).toEqual(['gpu:2'])
    const stale = state.apply('r', reading([], { silent: new Set(['gpu:1']), skipped: new Set(['flash']) }), 120)
    expect(stale.map(({ now }) => now.subject)).toEqual(['gpu:1'])
  })

  it('holds so many items, and counts what found no room', () => {
    const state = new GpuState({ itemsMax: 3 })
    const items = Array.from({ length: 5 }, (_, i) => known(place(`i${i}`), '1'))
    expect(state.apply('r', reading(items), 0)).toHaveLength(3)
    expect([state.size, state.left]).toEqual([3, 2])
    // What is gone makes room.
    state.apply('r', reading(items.slice(0, 2)), 1)
    expect(brief(state.apply('other', reading([known(place('new'), '1')]), 2)))
      .toEqual([['new', 'known', '1', '', 0]])
    expect(state.size).toBe(3)
  })
})
