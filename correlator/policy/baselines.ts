/** The baseline files that a policy names: read, and signed by whom the policy believes. */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import {
  BASELINE_BYTES_MAX, BaselineFormatError, readBaseline,
} from '../../gpu/baseline/baseline.ts'
import { BaselineKeyError, checkSignature } from '../../gpu/baseline/signature.ts'
import type { Policy, Position, Problem } from '../../policy/policy.ts'
import { messageOf } from '../errors.ts'

/** A baseline that can be put in force, as its event tells it. */
export interface LoadedBaseline {
  /** As the policy writes it. */
  path: string
  node_class: string
  sha256: string
  text: string
  /** Key whose signature was verified; '' where the policy asks for none. */
  key_id: string
}

/** What a policy names, or what is wrong with it; one that is wrong is not used. */
export interface BaselinesRead {
  baselines: LoadedBaseline[]
  problems: Problem[]
}

/** Why a baseline cannot be used, and what to do. */
interface Refusal { message: string, fix: string }

const FIX: Readonly<Record<string, Refusal>> = {
  unsigned: { message: 'is not signed',
    fix: 'sign it: vedette baseline sign FILE --key KEY' },
  unknown_key: { message: 'is signed by a key that baseline_keys does not list',
    fix: 'add the public key to gpus: baseline_keys, if it is one of yours' },
  forged: { message: 'was changed after it was signed',
    fix: 'find out who changed it; sign it again only if you know why' },
}

/**
 * Reads all baselines of a policy.
 *
 * @param file path of the policy: baselines lie relative to its folder
 */
export function readBaselines({ gpus }: Policy, file: string): BaselinesRead {
  const keys = gpus.baselineKeys.map(({ text }) => text)
  const read: BaselinesRead = { baselines: [], problems: [] }
  const seen = new Set<string>()
  for (const [i, named] of gpus.baselines.entries()) {
    if (seen.has(named.file)) continue
    seen.add(named.file)
    try {
      const loaded = loadBaseline(resolve(dirname(file), named.file), keys)
      if ('fix' in loaded) read.problems.push(problemOf(i, named, named.file, loaded))
      else read.baselines.push({ path: named.file, ...loaded })
    } catch (error) {
      read.problems.push(problemOf(i, named, named.file, refusalOf(error)))
    }
  }
  return read
}

/** Where the baselines of a policy lie. */
export function baselineFiles({ gpus }: Policy, file: string): string[] {
  return gpus.baselines.map((one) => resolve(dirname(file), one.file))
}

function loadBaseline(
  path: string, keys: readonly string[],
): Omit<LoadedBaseline, 'path'> | Refusal {
  const bytes = readBounded(path)
  const text = bytes.toString('utf8')
  const baseline = readBaseline(text)
  const signature = keys.length === 0 ? null : checkSignature(baseline, keys)
  if (signature !== null && signature.state !== 'trusted') return FIX[signature.state]
  return {
    node_class: baseline.node_class, text, key_id: signature?.keyId ?? '',
    sha256: createHash('sha256').update(bytes).digest('hex'),
  }
}

/** A pipe or a device must not keep a correlator waiting, nor fill its memory. */
function readBounded(path: string): Buffer {
  const file = openSync(path, 'r')
  try {
    const found = fstatSync(file)
    if (!found.isFile()) throw new BaselineFormatError('it is no file')
    if (found.size > BASELINE_BYTES_MAX) {
      throw new BaselineFormatError(`${found.size} bytes: a baseline has at most ` +
        String(BASELINE_BYTES_MAX))
    }
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof BaselineKeyError) {
    return { message: `cannot be checked: a key of baseline_keys is wrong: ${error.message}`,
      fix: 'write public keys of Ed25519, as openssl pkey -pubout writes them' }
  }
  if (error instanceof BaselineFormatError) {
    return { message: `is no baseline: ${error.message}`,
      fix: 'correct it; vedette baseline check FILE shows the same' }
  }
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined) throw error
  return { message: `cannot be read (${code}): ${messageOf(error)}`,
    fix: 'write the path from the folder of the policy, and let the correlator read it' }
}

function problemOf(
  index: number, { line, column }: Position, file: string, { message, fix }: Refusal,
): Problem {
  return {
    severity: 'error', line, column, path: `gpus.baselines[${index}].file`,
    message: `the baseline ${file} ${message}`, fix,
  }
}
