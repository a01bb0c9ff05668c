import { sumCounts } from '../../tools/vitest-results.ts'
import type { FileResult } from '../../tools/vitest-results.ts'
import type { GuestFacts } from './qemu.ts'

/** What one kernel gave: its probe tests, and what was wrong beside them (a dead guest, …). */
export type KernelReport = { kernel: string, files: FileResult[], troubles: string[] }

/**
 * What is wrong with a guest itself: without BTF or BPF LSM the tests would quietly take a
 * fallback and prove nothing about the way that these kernels are here for.
 */
export function guestTroubles(facts: GuestFacts): string[] {
  const troubles: string[] = []
  if (!facts.btf) troubles.push(`${facts.release} shows no BTF (/sys/kernel/btf/vmlinux)`)
  if (!facts.lsm.includes('bpf')) {
    troubles.push(`${facts.release} runs without BPF LSM (active: ${facts.lsm.join(',')})`)
  }
  return troubles
}

/** True when every kernel ran at least one test, and nothing failed. */
export function allPassed(reports: readonly KernelReport[]): boolean {
  return reports.length > 0 && reports.every(({ files, troubles }) => {
    const total = sumCounts(files)
    return troubles.length === 0 && total.failed === 0 && total.passed > 0
  })
}

/** The report as text: a row per kernel and probe, then each failure, skip and trouble. */
export function formatReport(reports: readonly KernelReport[]): string {
  const rows = [['kernel', 'probe tests', 'passed', 'failed', 'skipped']]
  const notes: string[] = []
  for (const { kernel, files, troubles } of reports) {
    for (const file of files) {
      rows.push([kernel, file.name, file.passed, file.failed, file.skipped].map(String))
      for (const { test, message } of file.failures) {
        notes.push(`FAILED on ${kernel}: ${test}\n${indent(message)}`)
      }
      for (const test of file.skips) notes.push(`SKIPPED on ${kernel}: ${test}`)
    }
    if (sumCounts(files).passed === 0) notes.push(`FAILED on ${kernel}: no test passed`)
    for (const trouble of troubles) notes.push(`FAILED on ${kernel}: ${trouble}`)
  }
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const cell = (word: string, column: number): string => {
    return column < 2 ? word.padEnd(widths[column]) : word.padStart(widths[column])
  }
  const table = rows.length === 1 ? [] : rows.map((row) => row.map(cell).join('  ').trimEnd())
  return [...table, ...notes].join('\n')
}

function indent(text: string): string {
  const own = text.split('\n').filter((line) => !/^\s+at .*(node_modules|new Promise)/.test(line))
  return own.slice(0, 12).map((line) => `    ${line}`).join('\n')
}
