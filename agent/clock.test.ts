import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ClockWithoutAddon, openClock, readBootId } from './clock.ts'

let dir: string
beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'vedette-clock-')) })
afterEach(() => rmSync(dir, { recursive: true }))

describe('clock', () => {
  it('agrees with and without the addon, to what /proc/uptime can tell', () => {
    const one = openClock().now()
    const other = new ClockWithoutAddon().now()
    const apart = (a: bigint, b: bigint) => Number(a > b ? a - b : b - a) / 1e6
    expect(apart(one.bootNs, other.bootNs)).toBeLessThan(1000)
    expect(apart(one.wallNs, other.wallNs)).toBeLessThan(1000)
  })

  it('never runs backward while the machine runs', () => {
    const clock = openClock()
    let before = clock.now().bootNs
    for (let i = 0; i < 1000; i++) {
      const { bootNs } = clock.now()
      expect(bootNs).toBeGreaterThanOrEqual(before)
      before = bootNs
    }
  })

  it('adds the time suspended, which Node does not count', () => {
    const path = join(dir, 'uptime')
    const hourNs = 3600_000_000_000n
    const seconds = Number(process.hrtime.bigint() + hourNs) / 1e9
    writeFileSync(path, `${seconds.toFixed(2)} 5000.00\n`)
    const addedNs = new ClockWithoutAddon(path).now().bootNs - process.hrtime.bigint()
    expect(Math.abs(Number(addedNs - hourNs) / 1e9)).toBeLessThan(10)
  })

  it('goes on without /proc/uptime', () => {
    const bootNs = new ClockWithoutAddon(join(dir, 'none')).now().bootNs
    expect(Number(process.hrtime.bigint() - bootNs) / 1e9).toBeLessThan(10)
  })

  it('reads the boot id without dashes, and zeros when there is none', () => {
    expect(readBootId()).toMatch(/^[0-9a-f]{32}$/)
    expect(readBootId(join(dir, 'none'))).toBe('0'.repeat(32))
    writeFileSync(join(dir, 'boot_id'), 'nonsense\n')
    expect(readBootId(join(dir, 'boot_id'))).toBe('0'.repeat(32))
  })
})
