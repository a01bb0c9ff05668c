import { describe, expect, it } from 'vitest'
import { suggest } from './suggest.ts'

const KEYS = ['cidrs', 'cgroup_paths', 'systemd_units', 'executables']

describe('suggest', () => {
  it('finds the key behind a slip, a swap, another case or another separator', () => {
    expect(suggest('cidr', KEYS)).toBe('cidrs')
    expect(suggest('cirds', KEYS)).toBe('cidrs')
    expect(suggest('cgroupPaths', KEYS)).toBe('cgroup_paths')
    expect(suggest('systemd-unit', KEYS)).toBe('systemd_units')
    expect(suggest('Executable', KEYS)).toBe('executables')
  })

  it('stays quiet when nothing is near', () => {
    expect(suggest('namespaces', KEYS)).toBeNull()
    expect(suggest('x', KEYS)).toBeNull()
    expect(suggest('', KEYS)).toBeNull()
    expect(suggest('cidrs', [])).toBeNull()
  })

  it('takes the nearest of several, and the first of equals', () => {
    expect(suggest('trainin', ['trains', 'training'])).toBe('training')
    expect(suggest('zone-x', ['zone-a', 'zone-b'])).toBe('zone-a')
  })

  it('does not compare words of hostile length', () => {
    expect(suggest('a'.repeat(100_000), ['a'.repeat(100_001), 'a'])).toBeNull()
  })
})
