/** Small logs on disk for tests, fuzzing and benches of this folder. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LogReader } from './cursor.ts'
import type { LogProblem } from './errors.ts'
import { openLog, type LogOptions, type LogWriter } from './writer.ts'

/** Options of a log without limits that matter, with a clock that stands still. */
export const SAMPLE_OPTIONS: LogOptions = {
  segmentBytesMax: 1024 * 1024,
  bytesMax: 64 * 1024 * 1024,
  whenFull: 'remove_oldest',
  nowMs: () => 1_700_000_000_000,
}

/** Runs `work` with a new empty folder that is removed afterwards. */
export async function withFolder<Result>(
  work: (dir: string) => Promise<Result> | Result,
): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), 'vedette-log-'))
  try {
    return await work(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** The payload that sample logs hold at `position`: its text tells it apart. */
export function samplePayload(position: number, bytes = 100): Buffer {
  return Buffer.alloc(bytes, `payload ${position} `)
}

/** Appends and syncs sample payloads up to position `last`. */
export async function appendSamples(log: LogWriter, last: number, bytes = 100): Promise<void> {
  while (log.next <= last) log.append(samplePayload(log.next, bytes))
  await log.sync()
}

/** Writes a closed log of `count` sample payloads. */
export async function writeSampleLog(
  dir: string, count: number, options: Partial<LogOptions> = {},
): Promise<void> {
  const log = openLog(dir, { ...SAMPLE_OPTIONS, ...options })
  await appendSamples(log, count)
  await log.close()
}

/** Reads a whole log: the positions, the payloads as text, and the problems met. */
export function readAll(
  dir: string, from?: number,
): { positions: number[], texts: string[], problems: LogProblem[] } {
  const positions: number[] = []
  const texts: string[] = []
  const problems: LogProblem[] = []
  const onProblem = (problem: LogProblem): void => void problems.push(problem)
  for (const { position, payload } of new LogReader(dir).read({ from, onProblem })) {
    positions.push(position)
    texts.push(payload.toString('latin1'))
  }
  return { positions, texts, problems }
}
