import { describe, expect, it } from 'vitest'
import { storeFacts } from './store-facts.ts'

describe('events of stores in words', () => {
  it('say how much was read of how many files, how, and whether the policy lets it', () => {
    const read = { store: 'imagenet', bytes: 3 * 2 ** 30, files_distinct: 1200, mechanism: 'mmap', path: '/data/a',
      duration_ns: 5e9 }
    expect(storeFacts.store_read(read)).toBe('imagenet: 3.0 GiB, 1,200 files by mmap in 5.0 s: /data/a …')
    expect(storeFacts.store_read({ ...read, process_written_known: true, process_written_bytes: 3 * 2 ** 30 }))
      .toBe('imagenet: 3.0 GiB, 1,200 files by mmap in 5.0 s, has written 3.0 GiB since: /data/a …')
    expect(storeFacts.store_read({ ...read, permitted: true })).not.toContain('allowed')
    expect(storeFacts.store_read({ ...read, files_distinct: 1, duration_ns: 0, owner_pid: 9, permitted: false }))
      .toBe('imagenet: 3.0 GiB, 1 file by mmap of process 9, not allowed: /data/a')
  })

  it('say what was changed, once or many times', () => {
    const write = { store: 'llm', operation: 'rename', path: '/m/b', old_path: '/m/a', count: 1 }
    expect(storeFacts.store_write(write)).toBe('llm: rename /m/a → /m/b')
    expect(storeFacts.store_write({ ...write, old_path: '', count: 4, permitted: false }))
      .toBe('llm: rename /m/b and 3 more, not allowed')
  })

  it('say where a store is, and why it is not found', () => {
    expect(storeFacts.store_seen({ store: 'llm', state: 'watched', path: '/m', fs_type: 'nfs4', mount_source: 'f:/m' }))
      .toBe('llm is watched: /m (nfs4 of f:/m)')
    expect(storeFacts.store_seen({ store: 'llm', state: 'unresolved', path: '/m', reason: 'no such folder' }))
      .toBe('llm is unresolved: /m: no such folder')
  })
})
