/** What the published schema (`schema.json`) finds, in plain words and at a place in the text. */
import { Ajv } from 'ajv'
import type { ErrorObject, ValidateFunction } from 'ajv'
import schema from '../schema.json' with { type: 'json' }
import type { Position, Problem } from '../policy.ts'
import { suggest } from './suggest.ts'
import { childPath } from './tree.ts'
import type { Tree } from './tree.ts'

/** What ajv tells of an error, by keyword; only what is used here. */
type Params = {
  missingProperty?: string
  additionalProperty?: string
  allowedValues?: string[]
  allowedValue?: unknown
  limit?: number
  type?: string | string[]
}

/** The parts of the schema around an error that the words are made from. */
type Parent = {
  properties?: Record<string, unknown>
  patternErrorMessage?: string
  description?: string
  minimum?: number
  maximum?: number
}

let compiled: ValidateFunction | null = null

/** Checks the shape of a policy. Never throws; finds everything at once, in no certain order. */
export function schemaProblems(tree: Tree): Problem[] {
  if (tree.value === null) {
    return [{
      severity: 'error', ...tree.root.at, path: '', message: 'the policy is empty',
      fix: 'write version: 1, then zones and flows',
    }]
  }
  const validate = compiled ??= compileSchema()
  if (validate(tree.value)) return []
  return (validate.errors ?? [])
    // Says only that the error of the name itself, which is listed too, makes the map wrong.
    .filter((error) => error.keyword !== 'propertyNames')
    .map((error) => toProblem(error, tree))
}

function compileSchema(): ValidateFunction {
  const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true })
  // Known to editors (JSON and YAML language servers), not to JSON schema itself.
  ajv.addVocabulary(['patternErrorMessage'])
  return ajv.compile(schema)
}

function toProblem(error: ErrorObject, tree: Tree): Problem {
  const params: Params = error.params
  const key = params.additionalProperty ?? error.propertyName
  const { at, path } = locate(tree, error.instancePath, key)
  const [message, fix] = inWords(error, params)
  return { severity: 'error', ...at, path, message, fix }
}

/** The place of a JSON pointer: of the key when one is given, of the value otherwise. */
function locate(tree: Tree, pointer: string, key?: string): { at: Position, path: string } {
  let located = tree.root
  let path = ''
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    const byKey = located.children.get(name)
    const child = byKey ?? located.children.get(Number(name))
    if (child === undefined) break
    path = byKey === undefined ? `${path}[${name}]` : childPath(path, name)
    located = child
  }
  if (key === undefined) return { at: located.at, path }
  return { at: located.children.get(key)?.keyAt ?? located.at, path: childPath(path, key) }
}

function inWords(error: ErrorObject, params: Params): [string, string] {
  const parent = (error.parentSchema ?? {}) as Parent
  const keys = Object.keys(parent.properties ?? {})
  const value = show(error.data)
  switch (error.keyword) {
    case 'required': {
      const missing = params.missingProperty ?? ''
      return [`${missing} is missing`, REQUIRED_FIXES[missing] ?? `write ${missing}:`]
    }
    case 'additionalProperties': {
      const near = suggest(params.additionalProperty ?? '', keys)
      const fix = near === null ? `known here: ${keys.join(', ')}` : `did you mean ${near}?`
      return [`${show(params.additionalProperty)} is not a key that belongs here`, fix]
    }
    case 'enum': {
      const allowed = params.allowedValues ?? []
      const near = typeof error.data === 'string' ? suggest(error.data, allowed) : null
      const fix = near === null ? `write ${allowed.join(', ')}` : `did you mean ${near}?`
      return [`${value} is not one of ${allowed.join(', ')}`, fix]
    }
    case 'const':
      return [`${value} is not a version that this build knows`, `write ${params.allowedValue}`]
    case 'type':
      return typeWords(error, params, value)
    case 'pattern':
      return [`${show(error.propertyName ?? error.data)} does not fit here`,
        parent.patternErrorMessage ?? String(parent.description)]
    case 'minItems':
      return ['this list is empty', 'write an entry, or remove the key']
    case 'minProperties':
      return ['nothing is written here', `write one of ${keys.join(', ')}`]
    case 'minimum':
    case 'maximum':
      return [`${value} is out of range`, `write ${parent.minimum} to ${parent.maximum}`]
    case 'maxItems':
    case 'maxProperties':
      return [`more than ${params.limit} entries`, 'merge entries that a wider one can hold']
    case 'maxLength':
      return [`longer than ${params.limit} characters`, 'write less']
    default:
      return [`${value}: ${error.message ?? error.keyword}`, String(parent.description ?? '')]
  }
}

const REQUIRED_FIXES: Partial<Record<string, string>> = {
  version: 'write version: 1 at the top',
  name: 'write name: and a word, such as training',
  exposure: 'write exposure: public, internal or protected',
  match: 'write match: with cidrs, namespaces, labels, node_groups or the like below it',
  from: 'write from: and the zone that opens the connection',
  to: 'write to: and the zone that accepts the connection',
  reason: 'write reason: and one sentence that says why',
  kind: 'write kind: dataset, weights, checkpoints, registry, database or objects',
  sensitivity: 'write sensitivity: public, internal, confidential or restricted',
  until: 'write until: and a time, such as 2030-01-31T12:00:00Z',
}

const TYPE_WORDS: Partial<Record<string, string>> = {
  string: 'text', array: 'a list', object: 'a map of keys', integer: 'a whole number',
  number: 'a number', boolean: 'true or false',
}

function typeWords(error: ErrorObject, params: Params, value: string): [string, string] {
  const wanted = [params.type ?? []].flat()
  const words = wanted.map((type) => TYPE_WORDS[type] ?? type).join(' or ')
  if (error.data === null) return [`nothing is written here; it must be ${words}`, 'write a value']
  const scalar = typeof error.data !== 'object'
  if (wanted.includes('array') && scalar) {
    return [`${value} must be ${words}`, `write [${value}]`]
  }
  if (wanted.includes('string') && scalar) {
    return [`${value} must be ${words}`, `write it in quotes: "${String(error.data)}"`]
  }
  return [`${value} must be ${words}`, `write ${words}`]
}

/** A value as YAML has it, short enough for one line. */
function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'a map'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}
