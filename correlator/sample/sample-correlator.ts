/** A whole correlator in a folder of its own, for tests and benches. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LogReader } from '../../log/cursor.ts'
import { decodeEnvelope } from '../../proto/batch.ts'
import type { CorrelatorConfig } from '../config.ts'
import { startCorrelator } from '../main.ts'
import type { RunningCorrelator } from '../main.ts'
import { sampleDetector } from './sample-detector.ts'

/** A correlator with what it said, and its data folder. */
export interface SampleCorrelator extends RunningCorrelator {
  data: string
  lines: string[]
  /** The metrics of /metrics, by name and labels as they are written there. */
  metric(name: string): Promise<number>
}

/** Starts one on free ports with the sample detector. */
export async function startSample(config: CorrelatorConfig): Promise<SampleCorrelator> {
  const lines: string[] = []
  const correlator = await startCorrelator(
    { listen: '127.0.0.1:0', listen_http: '127.0.0.1:0', ...config },
    { detectors: [sampleDetector], report: (line) => void lines.push(line) })
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${correlator.http_port}/metrics`)).text()
    const line = text.split('\n').find((one) => one.startsWith(`${name} `))
    return line === undefined ? NaN : Number(line.slice(name.length + 1))
  }
  return { ...correlator, data: config.data, lines, metric }
}

/** Runs `work` with a new empty folder that is removed afterwards. */
export async function withData<Result>(work: (data: string) => Promise<Result>): Promise<Result> {
  const data = mkdtempSync(join(tmpdir(), 'vedette-correlator-'))
  try {
    return await work(data)
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

/** Runs `work` with a correlator that is stopped and removed afterwards. */
export function withCorrelator<Result>(
  config: Partial<CorrelatorConfig>, work: (correlator: SampleCorrelator) => Promise<Result>,
): Promise<Result> {
  return withData(async (data) => {
    const correlator = await startSample({ data, ...config })
    try {
      return await work(correlator)
    } finally {
      await correlator.stop()
    }
  })
}

/** What the event log holds: per batch its node, first and last number. */
export function storedBatches(data: string): { node_id: string, first: number, last: number }[] {
  return Array.from(new LogReader(join(data, 'log')).read(), ({ payload }) => {
    const { node_id, first_seq, count } = decodeEnvelope(payload)
    return { node_id, first: first_seq, last: first_seq + count - 1 }
  })
}

/** What the incident log holds, frame by frame. */
export function storedIncidents(data: string): string[] {
  return Array.from(new LogReader(join(data, 'incidents')).read(), ({ payload }) =>
    payload.toString('utf8'))
}
