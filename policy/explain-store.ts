/** Why a policy lets a process read or change a store, or does not. */
import { NO_ZONE, UNZONED } from './compile.ts'
import type { CompiledPolicy } from './compile.ts'
import { explainConnection } from './explain.ts'
import type { EndFacts, Explanation } from './explain.ts'
import { endpointOf } from './match/endpoint.ts'
import type { ProcessFacts } from './match/process-rules.ts'
import type { StoreVerdict } from './match/store-rules.ts'
import type { Matcher, StorePolicy } from './policy.ts'
import { parseAddress } from '../proto/address.ts'

/** What is done to a store. */
export type StoreAction = 'read' | 'write'

/** All that decided. */
export type StoreExplanation = StoreVerdict & {
  action: StoreAction
  store: StorePolicy
  zone: string
  exposure: string
  /** What put the process into its zone, and the line of it; 0 where no pattern did. */
  zoneWhy: string
  zoneLine: number
  /** What would allow it, for the list of the verdict; '' when it is allowed or not judged. */
  missing: string
}

/** What names somebody best comes first. A pod or job by its own name is gone tomorrow. */
const NAMED_BY: readonly [Matcher, keyof ProcessFacts][] = [
  ['service_accounts', 'service_account'], ['namespaces', 'namespace'],
  ['slurm_users', 'slurm_user'], ['slurm_partitions', 'slurm_partition'],
  ['executables', 'exe'], ['systemd_units', 'systemd_unit'],
]

/**
 * Explains one access. Pure.
 *
 * @param store of this policy
 * @param zone index of the zone of the process where it was found already; otherwise it is found
 */
export function explainAccess(
  policy: CompiledPolicy, store: StorePolicy, action: StoreAction, facts: ProcessFacts,
  zone: number = policy.zoneOfProcess(facts),
): StoreExplanation {
  const { name } = store
  const verdict = action === 'read' ? policy.stores.mayRead(name, facts, zone)
    : policy.stores.mayWrite(name, facts, zone)
  const known = zone === NO_ZONE ? UNZONED : zone
  const rule = policy.explainProcess(facts)
  const decided = rule?.zone === known ? rule : null
  return {
    ...verdict, action, store, zone: policy.zones[known], exposure: policy.exposures[known],
    zoneWhy: decided !== null ? `${decided.matcher} ${decided.text}`
      : known === UNZONED ? 'no zone of the policy holds the process' : 'it was asked for',
    zoneLine: decided?.line ?? 0,
    missing: verdict.allowed === false ? missingOf(facts, policy.zones[known]) : '',
  }
}

/** A place of a store on the network, and whether flows let somebody connect to it. */
export type ReachedEndpoint = { endpoint: string, explanation: Explanation }

const ENDPOINTS_MAX = 8
const NOWHERE = new Uint8Array(16)

/**
 * Whether flows let somebody connect to the endpoints of a store, of those with a port. Nothing
 * where the policy has no zones: then it judges no connection. Of a range its first address counts.
 */
export function explainEndpoints(
  policy: CompiledPolicy, { endpoints }: StorePolicy, from: EndFacts,
): ReachedEndpoint[] {
  if (policy.learning) return []
  return endpoints.slice(0, ENDPOINTS_MAX).flatMap(({ text }) => {
    const { port, cidr, name, workload } = endpointOf(text)
    if (port === 0) return []
    const to: EndFacts = {
      process: null,
      address: cidr === null ? null : parseAddress(text.replace(/^\[|\].*$|\/.*$|:\d+$/g, '')),
      named: { dns_names: name === null ? [] : [name.text], workload: workload?.text },
    }
    return [{ endpoint: text, explanation: explainConnection(policy, from, to, port, 'tcp') }]
  })
}

/** The store behind an end of a connection; null when none is. */
export function storeBehind(
  policy: CompiledPolicy, { address, named }: EndFacts, port: number,
): StorePolicy | null {
  const name = policy.stores.storeOfConnection(address ?? NOWHERE, 0, port, named)
  return name === null ? null : policy.stores.get(name)
}

function missingOf(facts: ProcessFacts, zone: string): string {
  for (const [matcher, key] of NAMED_BY) {
    const value = facts[key]
    if (typeof value === 'string' && value !== '') return `${matcher}: [${JSON.stringify(value)}]`
  }
  return `zones: [${zone}]`
}
