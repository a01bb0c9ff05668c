import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

type Entry = {
  resolved?: string
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

const path = join(import.meta.dirname, '../package-lock.json')
const packages = (JSON.parse(readFileSync(path, 'utf8')) as { packages: Record<string, Entry> })
  .packages

/** True when Node would find `name` from the package at `place`, by the lock file's tree. */
function isLocked(place: string, name: string): boolean {
  for (let at = place; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (`${at}/node_modules/${name}`.replace(/^\//, '') in packages) return true
    if (at === '') return false
    if (!at.includes('/node_modules/')) return `node_modules/${name}` in packages
  }
}

// npm leaves an optional package out of the lock file when a registry does not have it, and
// `npm ci` then refuses the whole file: it must be there, if only as version, os and cpu.
test('every package that the lock file names is in it, also for other platforms', () => {
  const missing: string[] = []
  for (const [place, entry] of Object.entries(packages)) {
    for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
      if (!isLocked(place, name)) missing.push(`${place} needs ${name}`)
    }
  }
  expect(missing).toEqual([])
})

test('the lock file names no registry', () => {
  expect(Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined)).toEqual([])
})
