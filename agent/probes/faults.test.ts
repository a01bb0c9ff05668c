import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { faultCosts, newFaults } from './faults.ts'

it('tells what is new of a fault, once', () => {
  const known = new Map<string, number>()
  expect(newFaults(known, { sockets_full: 2, runs_missed: 0 })).toEqual([
    { ...faultCosts['sockets_full'], count: 2 },
  ])
  expect(newFaults(known, { sockets_full: 2, runs_missed: 0 })).toEqual([])
  expect(newFaults(known, { sockets_full: 5, runs_missed: 1 })).toEqual([
    { ...faultCosts['sockets_full'], count: 3 }, { ...faultCosts['runs_missed'], count: 1 },
  ])
})

it('stays quiet about what shows in the event itself', () => {
  expect(newFaults(new Map(), { args_unreadable: 7 })).toEqual([])
})

it('knows every fault that the probes count', () => {
  const header = readFileSync(join(import.meta.dirname, '../../bpf/lib/maps.bpf.h'), 'utf8')
  const names = [...header.matchAll(/^\tFAULT_([A-Z_]+),$/gm)].map((match) => match[1].toLowerCase())
  expect(names.length).toBeGreaterThan(3)
  const quiet = ['args_unreadable', 'store_path_busy']
  expect(names.filter((name) => !quiet.includes(name)).sort())
    .toEqual(Object.keys(faultCosts).filter((name) => name !== 'runs_missed').sort())
})
