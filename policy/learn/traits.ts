/** What workloads have in common: the trait that makes a zone of them. */
import type { Member } from './census.ts'

/** One matcher of a zone: its key in the policy file, and the pattern. */
export interface Trait {
  matcher: 'namespaces' | 'labels' | 'slurm_partitions' | 'node_groups' | 'systemd_units'
    | 'cgroup_paths' | 'executables' | 'cidrs'
  /** '' where the addresses alone tell (`cidrs`). */
  pattern: string
  /** What to call a zone of it. */
  name: string
  /** In words, for the person who reviews the zone. */
  why: string
}

const SYSTEMD_UNIT = /\.(service|scope|mount|socket|swap)$/
/** Labels that say which application a pod is, the better one first. */
const APP_LABELS = ['app.kubernetes.io/name', 'app']
/** Part of a cgroup path that is another one each time: of a session, a user, a container. */
const PASSING = /[0-9a-f]{12}|^user-|^session-|\d{4}/
/** What a policy can hold as it is; names of a node come from the outside. */
const LABEL = /^[A-Za-z0-9][-A-Za-z0-9./_]{0,300}=[-A-Za-z0-9_.]{1,63}$/
const NAME = /^[A-Za-z0-9][-A-Za-z0-9_.@:]{0,127}$/
const UNIT = /^[-A-Za-z0-9_.@:\\]{1,200}$/
const TREE = /^(\/[-A-Za-z0-9_.@:\\]+)+$/

/**
 * The trait of each member, by what says most of whom it belongs to: the namespace of a pod, the
 * partition of a Slurm job, the group of a node or, failing that, nodes whose names differ in their
 * number only. Where all members have the same one it would say nothing: then pods are told apart
 * by application, and processes by unit, cgroup or, as the last resort, executable.
 */
export function traitsOf(members: readonly Member[]): Trait[] {
  const traits = members.map(wideTrait)
  const one = new Set(traits.map(keyOfTrait)).size === 1
  return one ? members.map((member, i) => narrowTrait(member, traits[i])) : traits
}

/** Two members with the same key belong to the same zone. */
export function keyOfTrait({ matcher, pattern, name }: Trait): string {
  return `${matcher} ${pattern || name}`
}

function wideTrait(member: Member): Trait {
  const { namespace, slurm_partition: partition, node_group: group, node_id } = member
  if (NAME.test(namespace)) {
    return { matcher: 'namespaces', pattern: namespace, name: namespace,
      why: `pods of namespace ${namespace}` }
  }
  if (NAME.test(partition)) {
    return { matcher: 'slurm_partitions', pattern: partition, name: partition,
      why: `jobs and nodes of Slurm partition ${partition}` }
  }
  const pod = podTrait(member)
  if (pod !== null) return pod
  if (NAME.test(group)) {
    return { matcher: 'node_groups', pattern: group, name: group, why: `nodes of group ${group}` }
  }
  const stem = nodeStem(node_id)
  return { matcher: 'cidrs', pattern: '', name: stem, why: `nodes named ${stem}` }
}

/**
 * Pods of which nothing but the cgroup is known. Jobs of which no more is known belong to their
 * nodes, whose addresses they use.
 */
function podTrait({ cgroup_path: path, workload }: Member): Trait | null {
  if (!workload.startsWith('pod:')) return null
  const segments = path.split('/')
  const at = segments.findIndex((one) => /^kube(pods|let)/.test(one))
  const tree = segments.slice(0, at + 1).join('/')
  if (at < 0 || !TREE.test(tree)) return null
  return { matcher: 'cgroup_paths', pattern: `${tree}/**`, name: 'pods',
    why: 'pods whose facts were not known' }
}

function narrowTrait(member: Member, wide: Trait): Trait {
  if (wide.matcher === 'namespaces') return appTrait(member) ?? wide
  if (wide.matcher !== 'node_groups' && wide.matcher !== 'cidrs') return wide
  const { cgroup_path: path, exe } = member
  const segments = path.split('/').filter((one) => one !== '')
  const unit = segments.find((one) => SYSTEMD_UNIT.test(one)) ?? ''
  if (UNIT.test(unit) && !PASSING.test(unit) && segments[0] !== 'user.slice') {
    const name = unit.replace(SYSTEMD_UNIT, '').replace(/@.*$/, '')
    const pattern = unit.replace(/@.*(?=\.)/, '@*')
    return { matcher: 'systemd_units', pattern, name, why: `processes of ${pattern}` }
  }
  const passing = segments.findIndex((one) => PASSING.test(one))
  const kept = passing < 0 ? segments : segments.slice(0, passing)
  const tree = `/${kept.join('/')}`
  if (TREE.test(tree) && kept[0] !== 'system.slice') {
    return { matcher: 'cgroup_paths', pattern: `${tree}/**`,
      name: kept.at(-1)!.replace(/\.slice$/, ''), why: `processes below ${tree}` }
  }
  if (!isPlainPath(exe)) return wide
  return { matcher: 'executables', pattern: exe, name: exe.split('/').at(-1)!,
    why: `processes of ${exe}` }
}

function appTrait({ labels, namespace }: Member): Trait | null {
  for (const key of APP_LABELS) {
    const label = labels.find((one) => one.startsWith(`${key}=`))
    if (label === undefined) continue
    // Who makes a pod chooses its labels: only with the namespace do they say something.
    const pattern = `kubernetes.io/metadata.name=${namespace},${label}`
    if (!LABEL.test(label)) continue
    return { matcher: 'labels', pattern, name: label.slice(key.length + 1),
      why: `pods of namespace ${namespace} labelled ${label}` }
  }
  return null
}

/** `gpu-07.example` and `gpu-08.example` are `gpu`. */
function nodeStem(nodeId: string): string {
  const [host] = nodeId.split('.')
  return host.replace(/([-_]?\d+)+$/, '') || host
}

/** A path that a policy can hold as it is, and that is not where anyone may put a program. */
export function isPlainPath(exe: string): boolean {
  return /^\/[^*?[\]{}\p{Cc}\p{Cf}\p{Cs}\ufffd]{1,511}$/u.test(exe) &&
    !/^\/(tmp|var\/tmp|dev|proc|run\/user|memfd)\b/.test(exe) && !exe.endsWith(' (deleted)')
}
