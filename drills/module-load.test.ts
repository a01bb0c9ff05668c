import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DrillError } from './drill.ts'
import { harmlessModule } from './module-load.ts'

describe('the module of the drill', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'vedette-modules-'))
    mkdirSync(join(root, 'proc'))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  function kernelWith(loaded: string[], ...files: string[]): void {
    writeFileSync(join(root, 'proc/modules'), loaded.map((name) => `${name} 16384 0 - Live 0x0\n`).join(''))
    const folder = join(root, 'lib/modules', release(), 'kernel/drivers/net')
    mkdirSync(folder, { recursive: true })
    for (const file of files) writeFileSync(join(folder, file), '')
  }

  it('is one of the running kernel, compressed or not', () => {
    kernelWith(['ext4'], 'nlmon.ko.xz', 'dummy.ko')
    expect(harmlessModule(root)).toMatchObject({ module: 'nlmon', options: [] })
    expect(harmlessModule(root).file).toMatch(/\/nlmon\.ko\.xz$/)
  })

  it('is never one that is in use', () => {
    kernelWith(['nlmon'], 'nlmon.ko', 'dummy.ko')
    expect(harmlessModule(root)).toMatchObject({ module: 'dummy', options: ['numdummies=0'] })
    kernelWith(['nlmon', 'dummy'], 'nlmon.ko', 'dummy.ko')
    expect(() => harmlessModule(root)).toThrow(DrillError)
  })

  it('is missed in words where there are no modules', () => {
    expect(() => harmlessModule(root)).toThrow(/built without modules/)
    kernelWith([], 'nlmonitor.ko')
    expect(() => harmlessModule(root)).toThrow(/none is below .* and not in use/)
  })
})
