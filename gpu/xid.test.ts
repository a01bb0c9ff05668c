import { describe, expect, it } from 'vitest'
import { knownXids, xidFacts } from './xid.ts'

describe('the table of Xids', () => {
  it('names what is told of memory, security, firmware and fabric', () => {
    expect(xidFacts(48)).toEqual({ name: 'GPU_ECC_DBE', category: 'integrity', critical: true })
    expect(xidFacts(79)).toEqual({
      name: 'GPU_HAS_FALLEN_OFF_THE_BUS', category: 'hardware', critical: true,
    })
    expect(xidFacts(110)).toMatchObject({ name: 'SEC_FAULT_ERROR', category: 'security' })
    expect(xidFacts(151)).toMatchObject({ category: 'confidential_computing' })
    expect(xidFacts(13)).toMatchObject({ category: 'application', critical: false })
    expect(xidFacts(124)).toMatchObject({ name: 'SPI_PMU_RPC_ERASE_FAIL', category: 'firmware' })
  })

  it('knows each number once, and nothing of the others', () => {
    const numbers = knownXids()
    expect(numbers.length).toBeGreaterThan(70)
    expect(numbers).toEqual([...new Set(numbers)])
    expect(xidFacts(0)).toBeUndefined()
    expect(xidFacts(9999)).toBeUndefined()
    // A category without a name is known, and has no empty name.
    expect(xidFacts(66)).toEqual({ category: 'security', critical: false })
  })
})
