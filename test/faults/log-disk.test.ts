import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readAll, SAMPLE_OPTIONS, withFolder } from '../../log/sample-log.ts'
import { verifyLog } from '../../log/verify.ts'
import { openLog } from '../../log/writer.ts'

const LOG = join(import.meta.dirname, '../../log')
const IMPORTS = `
  import { openLog } from '${LOG}/writer.ts'
  import { readAll, SAMPLE_OPTIONS, samplePayload } from '${LOG}/sample-log.ts'
  import { verifyLog } from '${LOG}/verify.ts'
  import { rmSync, writeFileSync, statSync } from 'node:fs'
  import { join } from 'node:path'
  const options = { ...SAMPLE_OPTIONS, segmentBytesMax: 40_000 }
  const print = (value) => console.log(JSON.stringify(value))
  const factsOf = ({ code, operation, errno, message }) => ({ code, operation, errno, message })
  // Appends and syncs until the disk refuses; gives the error.
  async function fill(log) {
    try {
      for (;;) {
        for (let count = 0; count < 3; count++) log.append(samplePayload(log.next, 3000))
        await log.sync()
      }
    } catch (error) {
      return error
    }
  }`

const nodeArguments = (script: string): string[] => ['--input-type=module', '--eval', script]

function linesOf(child: SpawnSyncReturns<string>): Record<string, unknown>[] {
  expect(child.stderr).toBe('')
  return child.stdout.trim().split('\n').map((line) => JSON.parse(line))
}

function canMountPrivately(): boolean {
  const mount = 'mount -t tmpfs -o size=64k none /mnt'
  return spawnSync('unshare', ['-m', 'sh', '-c', mount]).status === 0
}

function hasCompiler(): boolean {
  return spawnSync('cc', ['--version']).status === 0
}

test.skipIf(!canMountPrivately())(
  'on a full disk nothing durable is lost, the log stays valid, and goes on when there is space',
  () => withFolder((dir) => {
    const script = `${IMPORTS}
      const dir = ${JSON.stringify(dir)}
      writeFileSync(join(dir, 'ballast'), Buffer.alloc(60_000))
      const log = openLog(join(dir, 'log'), options)
      const error = await fill(log)
      const durable = log.synced
      print({ ...factsOf(error), durable, next: log.next, bytes: log.bytes })
      print({ again: factsOf(await log.sync().catch((again) => again)).code })
      print({ whileFull: (await verifyLog(log.dir)), read: readAll(log.dir).positions.length })
      rmSync(join(dir, 'ballast'))
      const synced = await log.sync()
      log.append(samplePayload(log.next, 3000))
      await log.close()
      const { positions, texts, problems } = readAll(log.dir)
      const right = texts.every((text, index) =>
        text === samplePayload(positions[index], 3000).toString('latin1'))
      print({ synced, read: positions.length, right, problems, end: await verifyLog(log.dir) })`
    const mount = `mount -t tmpfs -o size=400k none ${dir} && exec "$0" "$@"`
    const command = ['-m', 'sh', '-c', mount, process.execPath, ...nodeArguments(script)]
    const lines = linesOf(spawnSync('unshare', command, { encoding: 'utf8' }))
    const [full, again, whileFull, after] = lines
    expect(full).toMatchObject({ code: 'LOG_NO_SPACE', errno: 'ENOSPC' })
    expect(full.message).toMatch(/Free space on this disk/)
    expect(again).toEqual({ again: 'LOG_NO_SPACE' })
    expect(whileFull.whileFull).toMatchObject({ ok: true, tail_bytes: 0 })
    expect(whileFull.read).toBeGreaterThanOrEqual(full.durable as number)
    expect(after.synced).toBe((full.next as number) - 1)
    expect(after).toMatchObject({ read: full.next, right: true, problems: [], end: { ok: true } })
  }),
)

test('over the file size limit of the process the same holds', () => withFolder(async (dir) => {
  const script = `${IMPORTS}
    process.on('SIGXFSZ', () => {})
    const log = openLog(${JSON.stringify(dir)}, { ...options, segmentBytesMax: 1_000_000 })
    const error = await fill(log)
    const synced = log.synced
    print({ ...factsOf(error), synced, next: log.next })
    print(factsOf(await log.close().catch((again) => again)))`
  const command = ['--fsize=100000', process.execPath, ...nodeArguments(script)]
  const [full, closing] = linesOf(spawnSync('prlimit', command, { encoding: 'utf8' }))
  expect(full).toMatchObject({ code: 'LOG_NO_SPACE', errno: 'EFBIG', operation: 'write' })
  expect(closing).toMatchObject({ code: 'LOG_NO_SPACE' })
  expect(full.next).toBe((full.synced as number) + 4)
  expect(await verifyLog(dir)).toMatchObject({ ok: true, last: full.synced, tail_bytes: 0 })
  const log = openLog(dir, SAMPLE_OPTIONS)
  expect([log.recovered, log.next]).toEqual([[], (full.synced as number) + 1])
  await log.close()
}))

test.skipIf(!hasCompiler()).each(['WRITE', 'SYNC'])(
  'when the disk fails a %s, the frames are written again once it works',
  (operation) => withFolder(async (dir) => {
    const library = join(dir, 'failing-disk.so')
    const source = join(import.meta.dirname, 'failing_disk.c')
    execFileSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'])
    const script = `${IMPORTS}
      const fail = ${JSON.stringify(join(dir, 'fail'))}
      const log = openLog(${JSON.stringify(join(dir, 'log'))}, options)
      for (const failAt of [1, 4, 13, 30]) {
        while (log.next < failAt) log.append(samplePayload(log.next, 3000))
        await log.sync()
        writeFileSync(fail, '')
        for (let count = 0; count < 2; count++) log.append(samplePayload(log.next, 3000))
        const error = await log.sync().catch((error) => error)
        const { synced, bytes } = log
        const read = readAll(log.dir).positions.length
        rmSync(fail)
        print({ ...factsOf(error), failAt, synced, read, after: await log.sync() })
      }
      await log.close()`
    const env = {
      ...process.env, LD_PRELOAD: library, [`VEDETTE_FAIL_${operation}`]: join(dir, 'fail'),
    }
    const child = spawnSync(process.execPath, nodeArguments(script), { encoding: 'utf8', env })
    const lines = linesOf(child)
    expect(lines.map(({ failAt }) => failAt)).toEqual([1, 4, 13, 30])
    for (const line of lines) {
      const failAt = line.failAt as number
      expect(line).toMatchObject({ code: 'LOG_IO', errno: 'EIO', synced: failAt - 1 })
      expect(line).toMatchObject({ read: failAt - 1, after: failAt + 1 })
    }
    const log = join(dir, 'log')
    expect(readAll(log)).toMatchObject({ positions: { length: 31 }, problems: [] })
    expect(await verifyLog(log)).toMatchObject({ ok: true, frames: 31, tail_bytes: 0 })
  }),
)

if (!canMountPrivately()) console.warn('SKIPPED: full disk on a tmpfs needs root and unshare -m')
if (!hasCompiler()) console.warn('SKIPPED: failing disk needs a C compiler (cc)')
