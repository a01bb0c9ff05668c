import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readAll, SAMPLE_OPTIONS, samplePayload, withFolder } from '../../log/sample-log.ts'
import { verifyLog } from '../../log/verify.ts'
import { openLog } from '../../log/writer.ts'

const LOG = join(import.meta.dirname, '../../log')
const SEGMENT_BYTES_MAX = 100_000

// Appends and syncs without end and prints each position that is durable.
const script = (dir: string): string => `
  import { openLog } from '${LOG}/writer.ts'
  import { SAMPLE_OPTIONS, samplePayload } from '${LOG}/sample-log.ts'
  import { writeSync } from 'node:fs'
  const options = { ...SAMPLE_OPTIONS, segmentBytesMax: ${SEGMENT_BYTES_MAX} }
  const log = openLog(${JSON.stringify(dir)}, options)
  for (;;) {
    for (let count = 0; count < 7; count++) log.append(samplePayload(log.next, 2000))
    const synced = await log.sync()
    writeSync(1, synced + '\\n')
  }`

async function appendUntilKilled(dir: string, lines: number): Promise<number> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script(dir)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.on('data', (data: Buffer) => {
    printed += data.toString()
    if (printed.split('\n').length > lines) child.kill('SIGKILL')
  })
  await once(child, 'close')
  // A line that the kill cut short has no line end and was not acknowledged.
  return Number(printed.slice(0, printed.lastIndexOf('\n')).split('\n').at(-1))
}

test('after kill -9 every position that was reported durable is there, several times over', () =>
  withFolder(async (dir) => {
    let before = 0
    for (const lines of [1, 12, 40]) {
      const acknowledged = await appendUntilKilled(dir, lines)
      expect(acknowledged).toBeGreaterThan(before)
      const log = openLog(dir, { ...SAMPLE_OPTIONS, segmentBytesMax: SEGMENT_BYTES_MAX })
      expect(log.problems).toEqual([])
      expect(log.next).toBeGreaterThan(acknowledged)
      await log.close()
      before = acknowledged
    }
    const { positions, texts, problems } = readAll(dir)
    expect(problems).toEqual([])
    for (const [index, position] of positions.entries()) {
      expect(position).toBe(index + 1)
      expect(texts[index] === samplePayload(position, 2000).toString('latin1')).toBe(true)
    }
    expect(await verifyLog(dir)).toMatchObject({ ok: true, tail_bytes: 0 })
  }))
