/** The ends of a connection as a person writes them: an address, a program, a zone, or facts. */
import type { CompiledPolicy } from '../../policy/compile.ts'
import type { EndFacts } from '../../policy/explain.ts'
import { suggest } from '../../policy/read/suggest.ts'
import { parseAddress } from '../../proto/address.ts'
import { CliError } from '../errors.ts'

/** What can be said of an end, as `key=value`. */
const KEYS = ['address', 'exe', 'unit', 'cgroup', 'workload', 'namespace', 'service_account',
  'label', 'slurm_partition', 'slurm_user', 'node_group', 'node_label', 'dns', 'zone'] as const
type Key = (typeof KEYS)[number]

export const END_FORMS = 'an address, a path of a program, a zone, a DNS name, or facts such as ' +
  'namespace=serving,label=app=llm'

/** An end and the port and protocol behind it. */
export interface Target { end: EndFacts, port: number, protocol: string }

/**
 * Reads `--from`.
 *
 * @throws CliError CLI_USAGE
 */
export function parseEnd(flag: string, text: string, policy: CompiledPolicy): EndFacts {
  const given = new Map<Key, string[]>()
  for (const part of text.split(',')) {
    const [key, value] = keyAndValue(flag, part, policy)
    given.set(key, [...given.get(key) ?? [], value])
  }
  const one = (key: Key): string | undefined => given.get(key)?.at(-1)
  const zone = one('zone')
  const account = one('service_account')
  const workload = {
    workload: one('workload'), namespace: one('namespace') ?? account?.split('/')[0],
    service_account: account, labels: given.get('label'),
    node_group: one('node_group'), node_labels: given.get('node_label'),
  }
  const process = {
    ...workload, exe: one('exe'), systemd_unit: one('unit'), cgroup_path: one('cgroup'),
    slurm_partition: one('slurm_partition'), slurm_user: one('slurm_user'),
  }
  const isProcess = Object.values(process).some((value) => value !== undefined)
  return {
    process: isProcess ? process : null,
    address: one('address') === undefined ? null : addressOf(flag, one('address')!),
    named: { ...workload, dns_names: given.get('dns') ?? [] },
    ...(zone === undefined ? {} : { zone: policy.zones.indexOf(zone) }),
  }
}

/**
 * Reads `--to`: an end, a colon, a port, and a protocol if it is not TCP.
 *
 * @throws CliError CLI_USAGE
 */
export function parseTarget(flag: string, text: string, policy: CompiledPolicy): Target {
  const parts = /^(.+):([0-9]{1,5})(?:\/([a-z0-9]{1,16}))?$/.exec(text)
  const port = Number(parts?.[2])
  // An IPv6 address without brackets has colons of its own.
  if (parts === null || port > 65_535 || (isAddress(text) && !text.startsWith('['))) {
    throw new CliError('CLI_USAGE', `${flag} is ${JSON.stringify(text)}; write ADDRESS:PORT, ` +
      `[IPV6]:PORT or NAME:PORT, and /udp, /rdma or /icmp if it is not TCP; ${END_FORMS}`)
  }
  const end = parseEnd(flag, parts[1].replace(/^\[(.*)\]$/, '$1'), policy)
  return { end, port, protocol: parts[3] ?? 'tcp' }
}

function keyAndValue(flag: string, part: string, policy: CompiledPolicy): [Key, string] {
  const [, word, rest] = /^([a-z_]+)=(.*)$/.exec(part) ?? []
  const key = KEYS.find((one) => one === word)
  if (key !== undefined) {
    if (key !== 'zone' || policy.zones.includes(rest)) return [key, rest]
    throw wrong(flag, `there is no zone ${rest}`, suggest(rest, policy.zones), policy.zones)
  }
  if (word !== undefined) {
    throw wrong(flag, `${word} says nothing of an end`, suggest(word, KEYS), KEYS)
  }
  if (isAddress(part)) return ['address', part]
  if (part.startsWith('/')) return ['exe', part]
  if (policy.zones.includes(part)) return ['zone', part]
  if (/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$/.test(part)) return ['dns', part.toLowerCase()]
  throw wrong(flag, `${JSON.stringify(part)} is neither address, program, zone nor name`,
    suggest(part, policy.zones), policy.zones)
}

function wrong(
  flag: string, what: string, near: string | null, known: readonly string[],
): CliError {
  return new CliError('CLI_USAGE', `${flag}: ${what}; ` +
    (near === null ? `known: ${known.join(', ')}` : `did you mean ${near}?`))
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text)
    return true
  } catch {
    return false
  }
}

function addressOf(flag: string, text: string): Uint8Array {
  if (isAddress(text)) return parseAddress(text)
  throw new CliError('CLI_USAGE', `${flag}: ${JSON.stringify(text)} is no IP address`)
}
