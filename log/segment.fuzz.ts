/**
 * Damages small logs at random, from a seed, and checks what must hold: no crash, no wrong payload,
 * all frames before the damage are read, the damage is reported, and a writer can go on.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { listSegments } from './folder.ts'
import { readAll, SAMPLE_OPTIONS, samplePayload, withFolder, writeSampleLog } from './sample-log.ts'
import { verifyLog } from './verify.ts'
import { openLog, type LogOptions } from './writer.ts'

const FRAMES = 12
const FRAME_BYTES = 156
const HEADER_BYTES = 72
const SMALL: Partial<LogOptions> = { segmentBytesMax: HEADER_BYTES + 5 * FRAME_BYTES }

type Damage = (bytes: Buffer, random: () => number) => { bytes: Buffer, at: number }

/** Flips one bit: the smallest damage there is. */
export const flipBit: Damage = (bytes, random) => {
  const bit = Math.floor(random() * bytes.length * 8)
  const damaged = Buffer.from(bytes)
  damaged[bit >> 3] ^= 1 << (bit & 7)
  return { bytes: damaged, at: bit >> 3 }
}

/** Overwrites a stretch with zeros or noise, as a lost or misdirected disk block does. */
export const overwrite: Damage = (bytes, random) => {
  const at = Math.floor(random() * bytes.length)
  const length = 1 + Math.floor(random() * 300)
  const damaged = Buffer.from(bytes)
  const zeros = random() < 0.5
  let first = -1
  for (let index = at; index < Math.min(bytes.length, at + length); index++) {
    damaged[index] = zeros ? 0 : Math.floor(random() * 256)
    if (first < 0 && damaged[index] !== bytes[index]) first = index
  }
  return first < 0 ? flipBit(bytes, random) : { bytes: damaged, at: first }
}

/** Runs `rounds` rounds; throws an Error with the seed and round of the first failure. */
export async function fuzzLog({ seed, rounds }: { seed: number, rounds: number }): Promise<void> {
  const random = randomFrom(seed)
  for (let round = 0; round < rounds; round++) {
    const damage = random() < 0.5 ? flipBit : overwrite
    const segment = Math.floor(random() * 3)
    try {
      await withFolder((dir) => damageOnce(dir, segment, (bytes) => damage(bytes, random)))
    } catch (error) {
      throw new Error(`seed ${seed}, round ${round}, segment ${segment}`, { cause: error })
    }
  }
}

/** One round: writes a log, damages one of its segments, and checks readers and the writer. */
export async function damageOnce(
  dir: string, index: number, damage: (bytes: Buffer) => { bytes: Buffer, at: number },
): Promise<void> {
  await writeSampleLog(dir, FRAMES, SMALL)
  const { path, firstPosition } = listSegments(dir)[index]
  const { bytes, at } = damage(readFileSync(path))
  writeFileSync(path, bytes)
  const whole = Math.max(0, Math.floor((at - HEADER_BYTES) / FRAME_BYTES))
  const before = firstPosition - 1 + whole
  checkReading(dir, before)
  const { ok, problems, tail_bytes: tail, frames } = await verifyLog(dir)
  // A cut at the edge of a frame leaves a shorter log: only a head kept elsewhere shows that.
  const atEdge = at === 0 || (at - HEADER_BYTES) % FRAME_BYTES === 0
  const cutAtEdge = index === 2 && bytes.length === at && atEdge
  check(!ok || tail > 0 || cutAtEdge, 'verify reports the damage')
  check(frames >= before, `verify sees ${frames} frames, ${before} are before the damage`)
  check(problems.length === 0 || problems[0].segment.endsWith('.seg'), 'a problem has a segment')
  await checkWriting(dir, before)
  rmSync(dir, { recursive: true })
}

function checkReading(dir: string, before: number): void {
  const { positions, texts } = readAll(dir)
  for (const [index, position] of positions.entries()) {
    const expected = samplePayload(position).toString('latin1')
    check(texts[index] === expected, `position ${position} has a payload that was never written`)
    check(index === 0 || position > positions[index - 1], 'positions ascend')
  }
  for (let position = 1; position <= before; position++) {
    check(positions.includes(position), `position ${position} is before the damage and not read`)
  }
}

async function checkWriting(dir: string, before: number): Promise<void> {
  const readable = readAll(dir).positions
  const log = openLog(dir, { ...SAMPLE_OPTIONS, ...SMALL })
  check(log.next > before, 'no position before the damage is given again')
  const position = log.append(Buffer.from('after the damage'))
  await log.close()
  const { positions, texts } = readAll(dir)
  check(texts.at(-1) === 'after the damage', 'what is appended after the damage is read')
  check(positions.at(-1) === position, 'at its position')
  for (const earlier of readable) {
    check(positions.includes(earlier), `position ${earlier} was readable before the writer came`)
  }
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`)
}

// Mulberry32: small, and the same everywhere.
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
