// Rules of stores between correlator and agent: the messages of proto/ingest.proto, and what an
// agent takes of them.

import { createHash } from 'node:crypto'
import type { StoreKind, StoreRule } from './rule.ts'

/** StoreRule of proto/ingest.proto. */
export interface StoreRuleMessage {
  name: string
  kind: string
  paths: string[]
  mount_sources: string[]
  file_systems: string[]
  manifest: string
  manifest_keys: string[]
}

/** Stores of proto/ingest.proto. */
export interface StoresMessage { sha256: string, rules: StoreRuleMessage[] }

/** Rules that cannot be used; the message says which and why. */
export class StoreRulesError extends Error {
  override readonly name = 'StoreRulesError'
}

/** Of all rules, encoded: the policy may not be larger than this either. */
export const STORES_BYTES_MAX = 4 * 1024 * 1024
const rulesMax = 256
const kinds: readonly string[] = [
  'dataset', 'weights', 'checkpoints', 'registry', 'database', 'objects',
] satisfies StoreKind[]
/** Pieces of each list, and characters of each piece. */
const lists = {
  paths: [64, 4096], mount_sources: [64, 4096], file_systems: [16, 64], manifest_keys: [16, 16_384],
} as const

/** The message that carries these rules. */
export function messageOfRules(rules: readonly StoreRule[]): StoresMessage {
  const messages = rules.map((rule): StoreRuleMessage => ({
    name: rule.name, kind: rule.kind, paths: rule.paths, mount_sources: rule.mountSources,
    file_systems: rule.fileSystems, manifest: rule.manifest, manifest_keys: rule.manifestKeys,
  }))
  return { sha256: digestOf(messages), rules: messages }
}

/**
 * The rules of a message, or of what was saved of one. Throws StoreRulesError unless it is whole
 * and within the bounds.
 */
export function rulesOfMessage(message: unknown): StoreRule[] {
  const { sha256, rules } = (message ?? {}) as Partial<StoresMessage>
  if (!Array.isArray(rules)) throw new StoreRulesError('there are no rules')
  if (rules.length > rulesMax) {
    throw new StoreRulesError(`${rules.length} stores are more than ${rulesMax}`)
  }
  const checked = rules.map((rule: unknown, i) => checkRule(rule, i))
  const twice = checked.find(({ name }, i) => checked.findIndex((one) => one.name === name) !== i)
  if (twice) throw new StoreRulesError(`two stores are called ${twice.name}`)
  if (digestOf(checked) !== sha256) throw new StoreRulesError('the digest is of other rules')
  return checked.map((rule): StoreRule => ({
    name: rule.name, kind: rule.kind as StoreKind, paths: rule.paths,
    mountSources: rule.mount_sources, fileSystems: rule.file_systems,
    manifest: rule.manifest, manifestKeys: rule.manifest_keys,
  }))
}

function checkRule(given: unknown, index: number): StoreRuleMessage {
  const rule = (given ?? {}) as StoreRuleMessage
  const fail = (what: string): never => {
    const name = typeof rule.name === 'string' ? JSON.stringify(rule.name.slice(0, 64)) : index
    throw new StoreRulesError(`store ${name}: ${what}`)
  }
  if (!/^[\x21-\x7e]{1,63}$/.test(String(rule.name))) fail('the name is wrong')
  if (!kinds.includes(rule.kind)) fail('the kind is not known')
  for (const [key, [piecesMax, charactersMax]] of Object.entries(lists)) {
    const list: unknown = rule[key as keyof typeof lists]
    if (!Array.isArray(list) || list.length > piecesMax ||
      !list.every((one) => isText(one, charactersMax))) fail(`${key} is wrong`)
  }
  if (!rule.paths.every((path) => path.startsWith('/'))) fail('a path does not begin with /')
  if (rule.manifest !== '' && !isText(rule.manifest, 4096)) fail('manifest is wrong')
  const { name, kind, paths, mount_sources, file_systems, manifest, manifest_keys } = rule
  return { name, kind, paths, mount_sources, file_systems, manifest, manifest_keys }
}

function isText(value: unknown, charactersMax: number): boolean {
  return typeof value === 'string' && value !== '' && value.length <= charactersMax &&
    !value.includes('\0')
}

function digestOf(rules: readonly StoreRuleMessage[]): string {
  return createHash('sha256').update(JSON.stringify(rules)).digest('hex')
}
