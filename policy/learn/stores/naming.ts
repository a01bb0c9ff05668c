/** How a list of readers or writers names somebody: by what says most of who it is. */
import type { Matcher } from '../../policy.ts'
import { UNZONED_ZONE } from '../../zone-names.ts'
import { isPlainPath } from '../traits.ts'
import type { Access } from './access.ts'

/** A pattern of the list. */
export interface Naming {
  matcher: Matcher | 'zones'
  pattern: string
  /** Said of what is wider than one would like; '' otherwise. */
  caution: string
}

/** Why somebody is left to a person. */
export type Unnamed = 'by_hand' | 'no_word'

const NAME = /^[A-Za-z0-9][-A-Za-z0-9_.@:]{0,127}$/
const LABEL = /^[A-Za-z0-9][-A-Za-z0-9./_]{0,300}=[-A-Za-z0-9_.]{1,63}$/
const UNIT = /^[-A-Za-z0-9_.@:\\]{1,200}$/
const APP_LABELS = ['app.kubernetes.io/name', 'app']
/** A unit that is another one each time: of a session, a user, a container. */
const PASSING = /[0-9a-f]{12}|^user[-@]|^session-|\.scope$/
const PATTERNS_MAX = 6

/**
 * In this order: the service account of a pod, its application or namespace, the user or partition
 * of a Slurm job, the systemd unit, the zone, the executable. What is done in a login session, or
 * with a tool outside of any workload, was done by hand: it is no habit.
 */
export function namingOf(access: Access): Naming | Unnamed {
  const { facts, zone, program, program_kind: kind } = access
  const { cgroup_path: path, workload, systemd_unit: unit } = facts
  const pod = ofPod(access) ?? ofJob(access)
  if (pod !== null) return pod
  if (path?.startsWith('/user.slice/')) return 'by_hand'
  const inZone: Naming | null = zone === '' || zone === UNZONED_ZONE ? null
    : { matcher: 'zones', pattern: zone, caution: '' }
  if (workload?.startsWith('job:')) {
    return inZone ?? { matcher: 'workloads', pattern: 'job:*',
      caution: 'Nothing is known of whose jobs these are: this is every job.' }
  }
  if (workload?.startsWith('pod:') && inZone !== null) return inZone
  if (unit && UNIT.test(unit) && !PASSING.test(unit)) {
    return { matcher: 'systemd_units', pattern: unit.replace(/@.*(?=\.)/, '@*'), caution: '' }
  }
  if (kind === 'by_hand') return 'by_hand'
  if (kind === 'own' && isPlainPath(program)) {
    return { matcher: 'executables', pattern: program, caution: '' }
  }
  return inZone ?? 'no_word'
}

function ofPod({ facts }: Access): Naming | null {
  const { namespace, service_account: account } = facts
  if (!namespace || !NAME.test(namespace)) return null
  const name = account?.split('/')[1] ?? ''
  if (NAME.test(name) && name !== 'default') {
    return { matcher: 'service_accounts', pattern: `${namespace}/${name}`, caution: '' }
  }
  for (const key of APP_LABELS) {
    const label = facts.labels?.find((one) => one.startsWith(`${key}=`))
    if (label === undefined || !LABEL.test(label)) continue
    // Who makes a pod chooses its labels: only with the namespace do they say something.
    const pattern = `kubernetes.io/metadata.name=${namespace},${label}`
    return { matcher: 'labels', pattern, caution: '' }
  }
  return { matcher: 'namespaces', pattern: namespace,
    caution: 'Its pods have no service account of their own: this is the whole namespace.' }
}

function ofJob({ facts, zone }: Access): Naming | null {
  const { slurm_user: user, slurm_partition: partition, slurm_self_told: selfTold } = facts
  if (selfTold && zone !== '' && zone !== UNZONED_ZONE) return null
  const caution = selfTold ? 'The job says so itself: nobody else was asked.' : ''
  if (user && NAME.test(user)) return { matcher: 'slurm_users', pattern: user, caution }
  if (!partition || !NAME.test(partition)) return null
  return { matcher: 'slurm_partitions', pattern: partition, caution }
}

/** Accesses by their naming; many users or accounts of one kind become what they have in common. */
export function grouped(accesses: readonly Access[]): Map<string, [Naming, Access[]]> {
  const named = accesses.flatMap((access): [Naming, Access][] => {
    const naming = namingOf(access)
    return typeof naming === 'string' ? [] : [[naming, access]]
  })
  const patterns = new Map<string, Set<string>>()
  for (const [naming, access] of named) {
    const key = keyOf(widened(naming, access))
    patterns.set(key, (patterns.get(key) ?? new Set()).add(naming.pattern))
  }
  const groups = new Map<string, [Naming, Access[]]>()
  for (const [naming, access] of named) {
    const wide = widened(naming, access)
    const own = (patterns.get(keyOf(wide))?.size ?? 0) > PATTERNS_MAX ? wide : naming
    const group = groups.get(keyOf(own))
    if (group === undefined) groups.set(keyOf(own), [own, [access]])
    else group[1].push(access)
  }
  return groups
}

function keyOf({ matcher, pattern }: Naming): string {
  return `${matcher} ${pattern}`
}

/** The next wider pattern; the same where there is none. */
function widened(naming: Naming, { facts }: Access): Naming {
  const { namespace, slurm_partition: partition } = facts
  switch (naming.matcher) {
    case 'service_accounts':
    case 'labels':
      return { matcher: 'namespaces', pattern: namespace ?? '',
        caution: 'So many of its pods do so that this is the whole namespace.' }
    case 'slurm_users':
      return !partition || !NAME.test(partition) ? naming : { matcher: 'slurm_partitions',
        pattern: partition, caution: 'So many users do so that this is their whole partition.' }
    default: return naming
  }
}
