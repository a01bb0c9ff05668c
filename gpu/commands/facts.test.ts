import { describe, expect, it } from 'vitest'
import { classRows } from './classes.ts'
import { controlRows } from './controls.ts'
import { escapeRows } from './escapes.ts'
import { branchOf, commandFacts, driverBranches, escapeFacts } from './facts.ts'

function rowsOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

const all = [controlRows, classRows, ...Object.values(escapeRows)]

function nameIn(branch: number, command: number): string | undefined {
  return commandFacts(String(branch), 'control', 'nvidiactl', 0x2a, command)?.name
}

describe('the tables of commands', () => {
  it('have only rows that can be read, and one meaning of a number in each branch', () => {
    const shape = /^[0-9a-f]{2,8} [A-Z][A-Z0-9_]+ [PNK] \d{3}(-\d{3})? [HMLTK]( [HMLTK])?$/
    for (const text of all) {
      const rows = rowsOf(text)
      expect(rows.filter((row) => !shape.test(row))).toEqual([])
      for (const branch of driverBranches) {
        const numbers = rows.filter((row) => {
          const [first, last = Infinity] = row.split(' ')[3].split('-').map(Number)
          return first <= branch && branch <= last
        }).map((row) => Number.parseInt(row, 16))
        expect(new Set(numbers).size).toBe(numbers.length)
      }
    }
  })

  it('give every control command of theirs in the branches that have it', () => {
    for (const row of rowsOf(controlRows)) {
      const [number, name, , branches] = row.split(' ')
      const [first, last = first] = branches.split('-').map(Number)
      for (const branch of [first, last]) {
        expect(nameIn(branch, Number.parseInt(number, 16))).toBe(name)
      }
    }
    expect(rowsOf(controlRows).length).toBeGreaterThan(150)
  })
})

describe('what a command is', () => {
  it('moves with the branch', () => {
    expect(nameIn(535, 0x208001a9)).toBe('GPU_MARK_DEVICE_FOR_RESET')
    expect(nameIn(525, 0x208001a9)).toBe('GPU_GET_NVENC_SW_SESSION_INFO_V2')
    expect(nameIn(570, 0x20801358)).toBe('FB_QUERY_DRAM_ENCRYPTION_INFOROM_SUPPORT')
    expect(nameIn(595, 0x20801358)).toBe('FB_QUERY_DRAM_ENCRYPTION_STATUS')
    expect([570, 580, 590].map((branch) => nameIn(branch, 0x208001eb)))
      .toEqual([undefined, 'GPU_FORCE_GSP_UNLOAD', undefined])
    expect(nameIn(515, 0x83de0301)).toBeUndefined()
  })

  it('says who may, and that another process as the aim weighs more', () => {
    expect(commandFacts('550', 'control', 'nvidiactl', 0x2a, 0x20800134)).toEqual({
      name: 'GPU_SET_ECC_CONFIGURATION', who: 'privileged', sensitivity: 'high',
      sensitivity_foreign: 'high',
    })
    expect(commandFacts('550', 'alloc', 'nvidiactl', 0x2b, 0x83de)).toMatchObject({
      name: 'GT200_DEBUGGER', who: 'any', sensitivity: 'low', sensitivity_foreign: 'high',
    })
    expect(commandFacts('', 'control', 'nvidiactl', 0x2a, 0x2080182e))
      .toMatchObject({ who: 'kernel', sensitivity: 'kernel' })
    expect(commandFacts('570', 'escape', 'nvidia_uvm', 62, 0))
      .toMatchObject({ name: 'UVM_TOOLS_READ_PROCESS_MEMORY', sensitivity: 'high' })
    expect(escapeFacts('570', 'nvidiactl', 0x2a)?.name).toBe('RM_CONTROL')
    expect(escapeFacts('570', 'nvidia_nvswitch', 0x4e)?.name).toBe('REGISTER_WRITE')
  })

  it('of the firmware\'s own is known by its bits alone, and the rest is not known', () => {
    expect(commandFacts('570', 'control', 'nvidiactl', 0x2a, 0x20809001))
      .toMatchObject({ name: 'GSS_LEGACY', who: 'any', sensitivity: 'low' })
    expect(commandFacts('570', 'control', 'nvidiactl', 0x2a, 0x2080d001))
      .toMatchObject({ who: 'privileged' })
    expect(commandFacts('570', 'control', 'nvidiactl', 0x2a, 0x12345678 & ~0x8000)).toBeUndefined()
    expect(commandFacts('570', 'control', 'nvidiactl', 0x2a, 0x208f0001))
      .toMatchObject({ name: 'SUBDEVICE_DIAG', sensitivity: 'high' })
    expect(commandFacts('570', 'control', 'nvidiactl', 0x2a, 0x208f1105))
      .toMatchObject({ name: 'GPU_VERIFY_INFOROM', sensitivity: 'low' })
    expect(commandFacts('570', 'open', 'nvidiactl', 0, 0)).toBeUndefined()
    expect(commandFacts('570', 'escape', 'constructor', 1, 0)).toBeUndefined()
    expect(escapeFacts('570', 'drm', 1)).toBeUndefined()
  })
})

describe('the branch of a driver', () => {
  it('is the latest known that is not newer', () => {
    expect([
      '470.1.2', '515.65.01', '545.23.08', '575.57.08', '595.45.04', '610.1', '1000.2',
    ].map(branchOf)).toEqual(['515', '515', '535', '570', '595', '595', '595'])
    expect(['', 'x', '99.1', '570', '570x.1'].map(branchOf)).toEqual(['', '', '', '', ''])
  })
})
