// A baseline: what the state of the GPUs of a class of nodes must be. One YAML file, which a person
// can read and change, and whose signature covers what it says, not how it is written.
import { Ajv, type ErrorObject } from 'ajv'
import { isNode, LineCounter, parseDocument, stringify, type Document } from 'yaml'

/** Bytes of a baseline file; RIM files in it are most of it. */
export const BASELINE_BYTES_MAX = 8 * 1024 * 1024

/** What one item of the state must be. Exactly one of value, any_of, at_least and reading. */
export interface ExpectedItem {
  /** Whose: "host", "driver", "firmware", "toolkit", "fabric", "gpu" (every one), "nvswitch". */
  subject: string
  /** As in gpu_state events, such as "vbios_version". */
  item: string
  value?: string
  any_of?: string[]
  /** A version that it must not be below: numbers between dots, compared one by one. */
  at_least?: string
  /** The GPU, driver or platform must not have it. */
  reading?: 'not_supported'
}

/** What evidence of a GPU is compared with. */
export interface ExpectedEvidence {
  /** SHA-256 of believed roots of device certificates, hex; NVIDIA's when absent. */
  roots?: string[]
  /** Root certificates of those who sign RIM files, PEM. */
  rim_roots?: string[]
  /** RIM files as they are, of the driver and of VBIOS versions. */
  rims?: string[]
}

export interface BaselineSignature {
  algorithm: 'ed25519'
  /** First 16 hex digits of the SHA-256 of the public key, SPKI in DER. */
  key_id: string
  /** Base64. */
  value: string
}

export interface Baseline {
  version: 1
  /** Such as "h100-cc". */
  node_class: string
  /** When and where it was captured. */
  captured_at?: string
  captured_on?: string
  items: ExpectedItem[]
  evidence?: ExpectedEvidence
  signature?: BaselineSignature
}

/** A file that is no baseline; the message says where and what to write. */
export class BaselineFormatError extends Error {
  readonly code = 'BASELINE_FORMAT'
}

const text = { type: 'string', minLength: 1, maxLength: 512 }

const schema = {
  type: 'object', additionalProperties: false, required: ['version', 'node_class', 'items'],
  properties: {
    version: { const: 1 },
    node_class: { type: 'string', pattern: '^[a-z0-9][a-z0-9._-]{0,62}$' },
    captured_at: text, captured_on: text,
    items: {
      type: 'array', minItems: 1, maxItems: 1024,
      items: {
        type: 'object', additionalProperties: false, required: ['subject', 'item'],
        properties: {
          subject: { type: 'string', pattern: '^[a-z][a-z0-9_]{0,30}$' },
          item: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9_./:@+-]{0,254}$' },
          value: text, at_least: text, reading: { const: 'not_supported' },
          any_of: { type: 'array', minItems: 1, maxItems: 64, items: text },
        },
        oneOf: ['value', 'any_of', 'at_least', 'reading'].map((one) => ({ required: [one] })),
      },
    },
    evidence: {
      type: 'object', additionalProperties: false,
      properties: {
        roots: { type: 'array', maxItems: 16,
          items: { type: 'string', pattern: '^[0-9A-Fa-f]{64}$' } },
        rim_roots: { type: 'array', maxItems: 16, items: { type: 'string', maxLength: 65536 } },
        rims: { type: 'array', maxItems: 64, items: { type: 'string', maxLength: 1048576 } },
      },
    },
    signature: {
      type: 'object', additionalProperties: false, required: ['algorithm', 'key_id', 'value'],
      properties: {
        algorithm: { const: 'ed25519' },
        key_id: { type: 'string', pattern: '^[0-9a-f]{16}$' },
        value: { type: 'string', pattern: '^[A-Za-z0-9+/]{86}==$' },
      },
    },
  },
}

const validate = new Ajv({ allErrors: true }).compile(schema)

/**
 * Reads a baseline file. Its signature is not checked.
 * @throws {BaselineFormatError} with line and column of the first thing that is wrong.
 */
export function readBaseline(yaml: string): Baseline {
  if (yaml.length > BASELINE_BYTES_MAX) {
    throw new BaselineFormatError(`${yaml.length} bytes: a baseline has at most ` +
      String(BASELINE_BYTES_MAX))
  }
  const lines = new LineCounter()
  const document = parseDocument(yaml, { lineCounter: lines, uniqueKeys: true, merge: false })
  const [error] = document.errors
  if (error) throw new BaselineFormatError(error.message.split('\n')[0])
  const value = valueOf(document)
  if (!validate(value)) {
    throw new BaselineFormatError(problemOf(document, lines, worstOf(validate.errors ?? [])))
  }
  const baseline = value as unknown as Baseline
  const seen = new Set<string>()
  for (const [i, { subject, item }] of baseline.items.entries()) {
    if (seen.has(`${subject} ${item}`)) {
      throw new BaselineFormatError(`${positionOf(document, lines, ['items', i])}: ${subject} ` +
        `${item} stands twice; put both values into any_of`)
    }
    seen.add(`${subject} ${item}`)
  }
  return baseline
}

/** The file that says it. */
export function writeBaseline(baseline: Baseline): string {
  return stringify(baseline, { lineWidth: 0 })
}

/** Without aliases: a small file must not become a large one. */
function valueOf(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch (error) {
    throw new BaselineFormatError(`a baseline has no aliases: ${(error as Error).message}`)
  }
}

/** A misspelt key explains what else is wrong; that none of several fits is said as a whole. */
function worstOf(errors: readonly ErrorObject[]): ErrorObject | undefined {
  return errors.find((one) => one.keyword === 'additionalProperties') ??
    errors.find((one) => one.keyword === 'oneOf') ?? errors[0]
}

function problemOf(document: Document, lines: LineCounter, error?: ErrorObject): string {
  const path = (error?.instancePath ?? '').split('/').slice(1)
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part))
  const what = error?.keyword === 'oneOf'
    ? 'needs exactly one of value, any_of, at_least and reading'
    : error?.keyword === 'additionalProperties'
      ? `has an unknown key "${String(error.params['additionalProperty']).slice(0, 60)}"`
      : error?.message ?? 'is wrong'
  return `${positionOf(document, lines, path)}: ${path.join('.') || 'the file'} ${what}`
}

function positionOf(document: Document, lines: LineCounter, path: (string | number)[]): string {
  const node = document.getIn(path, true)
  const at = isNode(node) && node.range ? lines.linePos(node.range[0]) : { line: 1, col: 1 }
  return `line ${at.line}, column ${at.col}`
}
