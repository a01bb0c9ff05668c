// Golden replays: the event log of a scenario and the incidents that it gave, kept, so that a
// change of a detector shows what it changes on real events, without root and in milliseconds.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync, zstdDecompressSync, constants } from 'node:zlib'
import { canonicalJson } from '../../detect/incident.ts'
import type { Incident } from '../../detect/incident.ts'
import { replay } from '../../detect/replay.ts'
import { detectors } from '../../detectors/index.ts'
import { LogReader } from '../../log/cursor.ts'

/** One frame of the log. */
export interface Frame { position: number, payload: Buffer }

/** Of one scenario, in the repository. */
const KEPT_BYTES_MAX = 300 * 1024
const LOG_FILE = 'log.zst'
const INCIDENTS_FILE = 'incidents.jsonl'

/** Keeps a data folder of a correlator under a name. Gives one line for a person. */
export function record(name: string, data: string, dir: string): string {
  const frames = [...new LogReader(join(data, 'log')).read()]
  const pieces = frames.flatMap(({ position, payload }) => {
    const head = Buffer.alloc(8)
    head.writeUInt32LE(position, 0)
    head.writeUInt32LE(payload.length, 4)
    return [head, payload]
  })
  const bytes = zstdCompressSync(Buffer.concat(pieces), {
    params: { [constants.ZSTD_c_compressionLevel]: 19 },
  })
  if (bytes.length > KEPT_BYTES_MAX) {
    return `not recorded: ${bytes.length} bytes are more than ${KEPT_BYTES_MAX}`
  }
  const folder = join(dir, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, LOG_FILE), bytes)
  return `${bytes.length} bytes, ${refresh(name, dir)}`
}

/** Keeps what the detectors of now make of a kept log. Gives one line for a person. */
export function refresh(name: string, dir: string): string {
  const incidents = replayed(goldenFrames(name, dir))
  const lines = incidents.map((line) => `${line}\n`)
  writeFileSync(join(dir, name, INCIDENTS_FILE), lines.join(''))
  return `${incidents.length} incidents kept of ${name}`
}

/** Names of what is kept. */
export function goldenNames(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    .map((entry) => entry.name).sort()
}

/** The frames of a kept log. */
export function goldenFrames(name: string, dir: string): Frame[] {
  const bytes = zstdDecompressSync(readFileSync(join(dir, name, LOG_FILE)))
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 8 + bytes.readUInt32LE(at + 4)
    frames.push({ position: bytes.readUInt32LE(at), payload: bytes.subarray(at + 8, end) })
    at = end
  }
  return frames
}

/** The incidents that were kept, each in its canonical form. */
export function goldenIncidents(name: string, dir: string): string[] {
  return readFileSync(join(dir, name, INCIDENTS_FILE), 'utf8').split('\n').filter(Boolean)
}

/** What the detectors of now make of frames: incidents in their canonical form. */
export function replayed(frames: readonly Frame[]): string[] {
  return replay(frames, { detectors }).incidents.map((one: Incident) => canonicalJson(one))
}
