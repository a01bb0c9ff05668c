import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { gspImage } from '../../gpu/sample/gsp-image.ts'
import { recordBuffer } from '../../proto/columns.ts'
import type { RecordBuffer } from '../../proto/columns.ts'
import { kindInfos, recordHeader, recordOffsets } from '../../proto/gen/events.ts'
import { openClock } from '../clock.ts'
import { LoadedFiles } from './loaded-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'vedette-loaded-'))
afterAll(() => rmSync(folder, { recursive: true }))
const clock = openClock()
const infoOf = (name: string) => kindInfos.find(({ kind }) => kind === name)!
const kernelModule = infoOf('kernel_module')
const firmwareLoad = infoOf('firmware_load')
const [load, unload] = [1, 2]

let passed: { kind: number, pid: number, texts: Readonly<Record<string, string>> }[] = []
let files: LoadedFiles
beforeEach(() => {
  passed = []
  files = new LoadedFiles({
    clock, root: '/', pass: (record, kind, texts) => passed.push({ kind, pid: record.u32[3], texts }),
  })
})

interface Given { path?: string, inode?: bigint, bytes?: number, action?: number, pid?: number, time?: bigint }

function record(info: typeof kernelModule, given: Given): RecordBuffer {
  const made = recordBuffer(new ArrayBuffer(info.recordBytes))
  const bytes = Buffer.from(made.u8.buffer)
  const at = info === kernelModule ? recordOffsets.kernel_module : recordOffsets.firmware_load
  const { path = '', pid = 1, time = clock.now().bootNs } = given
  const found = path === '' ? undefined : statSync(path, { bigint: true, throwIfNoEntry: false })
  bytes.writeBigUInt64LE(time, recordHeader.time)
  bytes.writeUInt16LE(info.number, recordHeader.kind)
  bytes.writeUInt16LE(info.recordBytes, recordHeader.size)
  bytes.writeUInt32LE(pid, recordHeader.pid)
  bytes.write(path, at.path)
  bytes.writeBigUInt64LE(given.inode ?? found?.ino ?? 0n, at.inode)
  bytes.writeBigUInt64LE(BigInt(given.bytes ?? found?.size ?? 0), at.file_bytes)
  if (info === kernelModule) bytes[recordOffsets.kernel_module.action] = given.action ?? load
  return made
}

function fileWith(content: Buffer | string, name = 'x.ko'): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

/** What is passed on of one record. */
async function textsOf(info: typeof kernelModule, given: Given): Promise<Readonly<Record<string, string>>> {
  expect(files.take(record(info, given), 0, info.number)).toBe(true)
  expect(passed).toEqual([])
  while (passed.length === 0) await new Promise(setImmediate)
  return passed[0].texts
}

const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex')

describe('the files of modules and firmware', () => {
  it('are told by their digest, also when they are larger than one read', async () => {
    const content = Buffer.alloc(3 * 1024 * 1024 + 17, 'module')
    expect(await textsOf(kernelModule, { path: fileWith(content) })).toEqual({ sha256: sha256(content) })
    expect(files.misses).toBe(0)
  })

  it('are told with the version that firmware says, and modules say none', async () => {
    const image = gspImage('570.211.01')
    expect(await textsOf(firmwareLoad, { path: fileWith(image, 'gsp.bin') }))
      .toEqual({ sha256: sha256(image), firmware_version: '570.211.01' })
    passed = []
    expect(await textsOf(kernelModule, { path: fileWith(image) })).toEqual({ sha256: sha256(image) })
    passed = []
    const packed = execFileSync('xz', ['-c'], { input: image })
    expect(await textsOf(firmwareLoad, { path: fileWith(packed, 'gsp.bin.xz') }))
      .toEqual({ sha256: sha256(packed) })
  })

  it('are not told when it is another file by now', async () => {
    const path = fileWith('one')
    const { ino } = statSync(path, { bigint: true })
    for (const given of [{ inode: ino + 1n }, { bytes: 4 }, { time: clock.now().bootNs - 3_600_000_000_000n }]) {
      expect(await textsOf(kernelModule, { path, ...given })).toEqual({})
      passed = []
    }
    const loaded = record(kernelModule, { path })
    renameSync(fileWith('two', 'y.ko'), path)
    expect(files.take(loaded, 0, kernelModule.number)).toBe(true)
    await files.stop()
    expect(passed).toMatchObject([{ texts: {} }])
    expect(files.misses).toBe(4)
  })

  it('are not told when they cannot be read, and the record goes on', async () => {
    for (const path of [join(folder, 'none.ko'), folder, '/dev/zero']) {
      expect(await textsOf(kernelModule, { path, inode: 5n, bytes: 10 })).toEqual({})
      passed = []
    }
    const huge = fileWith('')
    truncateSync(huge, 600 * 1024 * 1024)
    expect(await textsOf(kernelModule, { path: huge })).toEqual({})
    expect(files.misses).toBe(4)
  })

  it('keep the order: what has no file waits behind what has one, and only then', async () => {
    const path = fileWith('module')
    expect(files.take(record(kernelModule, { action: unload, pid: 1 }), 0, kernelModule.number)).toBe(false)
    expect(files.take(record(kernelModule, { path, pid: 2 }), 0, kernelModule.number)).toBe(true)
    expect(files.take(record(kernelModule, { action: unload, pid: 3 }), 0, kernelModule.number)).toBe(true)
    expect(files.take(record(firmwareLoad, { pid: 4 }), 0, firmwareLoad.number)).toBe(true)
    while (passed.length < 3) await new Promise(setImmediate)
    expect(passed.map(({ pid }) => pid)).toEqual([2, 3, 4])
    expect(passed[0].texts).toEqual({ sha256: sha256('module') })
    expect(files.misses).toBe(0)
  })

  it('leave other kinds alone', () => {
    const other = infoOf('process_exec')
    expect(files.take(record(kernelModule, {}), 0, other.number)).toBe(false)
  })

  it('are bounded: too many at once go on without a digest, and that is counted', async () => {
    const path = fileWith('module')
    const taken = Array.from({ length: 100 }, (_, pid) =>
      files.take(record(kernelModule, { path, pid }), 0, kernelModule.number))
    expect(taken.filter(Boolean)).toHaveLength(64)
    expect(files.misses).toBe(36)
    await files.stop()
    expect(passed).toHaveLength(64)
  })

  it('do not keep anything at the end: what waits is passed on at once', async () => {
    const large = fileWith(Buffer.alloc(64 * 1024 * 1024), 'large.ko')
    const other = fileWith('m')
    expect(files.take(record(kernelModule, { path: large, pid: 1 }), 0, kernelModule.number)).toBe(true)
    expect(files.take(record(kernelModule, { path: other, pid: 2 }), 0, kernelModule.number)).toBe(true)
    await files.stop()
    expect(passed).toEqual([1, 2].map((pid) => ({ kind: kernelModule.number, pid, texts: {} })))
    expect(files.take(record(kernelModule, { path: other }), 0, kernelModule.number)).toBe(false)
  })

  it('do not wait in a pipe: it is no file that a kernel loads', async () => {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const { ino } = statSync(pipe, { bigint: true })
    expect(await textsOf(kernelModule, { path: pipe, inode: ino, bytes: 0 })).toEqual({})
  })
})
