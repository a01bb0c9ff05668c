/** The inner layer: the in-toto statement that lists files and what they hold. */
import { createHash } from 'node:crypto'
import { listOf, objectOf, parse } from './envelope.ts'
import type { JsonObject } from './envelope.ts'
import { ManifestError, quoted } from './error.ts'

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
const PREDICATE_TYPE = 'https://model_signing/signature/v1.0'
/** Before version 1.0. */
const OLD_PREDICATE_TYPE = 'https://model_signing/Digests/v0.1'
const RESOURCES_MAX = 1_000_000
const NAME_CHARS_MAX = 4096
const IGNORED_MAX = 10_000

/** How node:crypto calls the algorithms. */
export type Algorithm = 'sha256' | 'blake2b512'
const algorithms: Record<string, { name: Algorithm, hexChars: number }> = {
  sha256: { name: 'sha256', hexChars: 64 }, blake2b: { name: 'blake2b512', hexChars: 128 },
}

/** Bytes from `start` up to, not with, `end`; `end` is Infinity for all that follow. */
export interface Part { start: number, end: number, digest: string }

/** What a file must hold: its parts, one after the other, from the beginning to its end. */
export interface Expected { algorithm: Algorithm, parts: Part[] }

/** The list of files. */
export interface Statement {
  /** Name of the model, for people. */
  model: string
  /** By name from the folder of the model on, with slashes; '.' when the model is one file. */
  files: Map<string, Expected>
  /** Names of files and folders that were left out on purpose. */
  ignored: string[]
}

/** Reads a statement. Throws ManifestError manifest_format, _too_large, _unsupported. */
export function readStatement(payload: Uint8Array): Statement {
  const statement = objectOf(parse(payload, 'statement'), 'The statement')
  if (statement._type !== STATEMENT_TYPE) {
    throw wrong(`_type is ${quoted(statement._type)}, not ${STATEMENT_TYPE}`)
  }
  if (statement.predicateType === OLD_PREDICATE_TYPE) {
    throw new ManifestError('manifest_unsupported', 'It was signed by a version before 1.0')
  }
  if (statement.predicateType !== PREDICATE_TYPE) {
    throw wrong(`predicateType is ${quoted(statement.predicateType)}, not ${PREDICATE_TYPE}`)
  }
  const predicate = objectOf(statement.predicate, 'predicate')
  const serialization = objectOf(predicate.serialization, 'serialization')
  const { method } = serialization
  if (method !== 'files' && method !== 'shards') {
    throw new ManifestError('manifest_unsupported', `The files are listed by ${quoted(method)}`)
  }
  const resources = listOf(predicate.resources, 'resources', 0, RESOURCES_MAX)
    .map((one) => objectOf(one, 'A resource'))
  const [subject, ...more] = listOf(statement.subject, 'subject', 1, RESOURCES_MAX)
  if (more.length > 0) throw wrong('It is about more than one model')
  const { name: model, digest } = objectOf(subject, 'subject')
  checkSum(resources, objectOf(digest, 'digest of subject').sha256)
  return {
    model: typeof model === 'string' ? model.slice(0, NAME_CHARS_MAX) : '',
    files: filesOf(resources, method === 'shards'),
    ignored: namesOf(serialization.ignore_paths),
  }
}

/** The digest of the subject is over all others, in their order. */
function checkSum(resources: JsonObject[], expected: unknown): void {
  const hash = createHash('sha256')
  for (const resource of resources) hash.update(Buffer.from(digestOf(resource).digest, 'hex'))
  if (hash.digest('hex') !== expected) {
    throw wrong('The digest of subject is not that of the resources: some were left out')
  }
}

function filesOf(resources: JsonObject[], sharded: boolean): Map<string, Expected> {
  const files = new Map<string, Expected>()
  for (const resource of resources) {
    const { algorithm, digest } = digestOf(resource)
    const { name, start, end } = placeOf(resource.name, sharded)
    const known = files.get(name)
    const last = known?.parts.at(-1)
    if (start !== (last?.end ?? 0)) throw wrong(`Parts of ${quoted(name)} do not follow each other`)
    if (known === undefined) files.set(name, { algorithm, parts: [{ start, end, digest }] })
    else if (known.algorithm !== algorithm) throw wrong(`${quoted(name)} has two algorithms`)
    else known.parts.push({ start, end, digest })
  }
  return files
}

function digestOf(
  { algorithm: said, digest }: JsonObject,
): { algorithm: Algorithm, digest: string } {
  const name = typeof said === 'string' ? /^([a-z0-9]+)(?:-sharded-\d+)?$/.exec(said)?.[1] : ''
  const known = Object.hasOwn(algorithms, name ?? '') ? algorithms[name!] : undefined
  if (known === undefined) {
    throw new ManifestError('manifest_unsupported', `The algorithm is ${quoted(said)}`)
  }
  const { name: algorithm, hexChars } = known
  if (typeof digest !== 'string' || digest.length !== hexChars || !/^[0-9a-f]*$/i.test(digest)) {
    throw wrong(`A digest by ${quoted(said)} is not of ${hexChars} hexadecimal digits`)
  }
  return { algorithm, digest: digest.toLowerCase() }
}

function placeOf(said: unknown, sharded: boolean): { name: string, start: number, end: number } {
  if (typeof said !== 'string') throw wrong('A resource has no name')
  if (!sharded) return { name: checkedName(said), start: 0, end: Infinity }
  const found = /^(.+):(\d{1,15}):(\d{1,15})$/s.exec(said)
  const [start, end] = [Number(found?.[2]), Number(found?.[3])]
  if (!found || !(start < end)) throw wrong(`${quoted(said)} is not name:start:end`)
  return { name: checkedName(found[1]), start, end }
}

/** A name must stay below the folder of the model. */
function checkedName(name: string): string {
  if (name === '.') return name
  const parts = name.split('/')
  if (name === '' || name.length > NAME_CHARS_MAX || name.includes('\0') ||
    parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw wrong(`${quoted(name)} is no name of a file below the folder of the model`)
  }
  return name
}

/** Absent is none: only the newer versions of the tool say what they leave out. */
function namesOf(said: unknown): string[] {
  if (said === undefined) return []
  return listOf(said, 'ignore_paths', 0, IGNORED_MAX)
    .flatMap((name) => typeof name === 'string' && name !== '' ? [name.replace(/\/+$/, '')] : [])
}

const wrong = (what: string): ManifestError => new ManifestError('manifest_format', what)
