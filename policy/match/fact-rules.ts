/** The patterns of zones by what they match, the most specific first. */
import { compareSpecificity, compileGlob } from './glob.ts'
import type { Matcher, Pattern, Zone } from '../policy.ts'
import { compileSelector, selects } from './selector.ts'

/** The pattern that decided: what and where in the file. `zone` is an index into `zones`. */
export type Rule = Pattern & { matcher: Matcher, zone: number }

/** What the orchestrator says of a pod, a Service or a job; absent or '' where not known. */
export type WorkloadFacts = {
  /** Such as `pod:team-a/llm-0`, `job:4711`, `tritonserver.service`. */
  workload?: string | null
  namespace?: string | null
  /** `namespace/name`. */
  service_account?: string | null
  /** Labels of the pod or Service, each `key=value`. */
  labels?: readonly string[] | null
}

/** What is known of the node that something runs on. */
export type NodeFacts = {
  node_group?: string | null
  node_labels?: readonly string[] | null
  node_partitions?: readonly string[] | null
}

/** Every key of `match` in a zone, in the order of the documentation. */
export const MATCHERS: readonly Matcher[] = [
  'workloads', 'service_accounts', 'labels', 'namespaces', 'slurm_users', 'slurm_partitions',
  'executables', 'systemd_units', 'cgroup_paths', 'node_labels', 'node_groups', 'cidrs',
  'dns_names',
]

type Entry = {
  rule: Rule
  literals: number
  stars: number
  matches: (text: string) => boolean
  selects: (labels: readonly string[], namespace: string) => boolean
}

/** The patterns of all zones; says which one decides for a fact. Not for the hot path. */
export class FactRules {
  readonly #byMatcher = new Map<Matcher, Entry[]>()

  /** @param firstZone the index of `zones[0]` in the numbering that rules use */
  constructor(zones: readonly Zone[], firstZone: number) {
    for (const [index, zone] of zones.entries()) {
      for (const [key, patterns] of Object.entries(zone.match)) {
        const matcher = key as Matcher
        if (matcher === 'cidrs') continue
        const entries = this.#byMatcher.get(matcher) ?? []
        entries.push(...patterns.map((pattern) => {
          return toEntry({ ...pattern, matcher, zone: firstZone + index })
        }))
        this.#byMatcher.set(matcher, entries)
      }
    }
    // The sort is stable: equals stay in the order of the file.
    for (const entries of this.#byMatcher.values()) entries.sort(compareSpecificity)
  }

  /** The rule for one text; null when none matches, or the text is not known. */
  ofText(matcher: Matcher, text: string | null | undefined): Rule | null {
    if (text === null || text === undefined || text === '') return null
    const entries = this.#byMatcher.get(matcher)
    return entries?.find((entry) => entry.matches(text))?.rule ?? null
  }

  /** The rule for any of several texts: the most specific one of all. */
  ofAny(matcher: Matcher, texts: readonly string[] | null | undefined): Rule | null {
    if (!texts || texts.length === 0) return null
    const entries = this.#byMatcher.get(matcher)
    return entries?.find((entry) => texts.some((text) => entry.matches(text)))?.rule ?? null
  }

  /** The rule for a set of labels. */
  ofLabels(
    matcher: 'labels' | 'node_labels', labels: readonly string[] | null | undefined,
    namespace: string,
  ): Rule | null {
    if ((!labels || labels.length === 0) && namespace === '') return null
    const entries = this.#byMatcher.get(matcher)
    return entries?.find((entry) => entry.selects(labels ?? [], namespace))?.rule ?? null
  }

  /** A workload says more than its service account, that more than labels and the namespace. */
  ofWorkload(facts: WorkloadFacts): Rule | null {
    return this.ofText('workloads', facts.workload) ??
      this.ofText('service_accounts', facts.service_account) ??
      this.ofLabels('labels', facts.labels, facts.namespace ?? '') ??
      this.ofText('namespaces', facts.namespace)
  }

  /** Its labels say more of a node than its group, and that more than the partitions it is in. */
  ofNode(facts: NodeFacts): Rule | null {
    return this.ofLabels('node_labels', facts.node_labels, '') ??
      this.ofText('node_groups', facts.node_group) ??
      this.ofAny('slurm_partitions', facts.node_partitions)
  }
}

function toEntry(rule: Rule): Entry {
  if (rule.matcher === 'labels' || rule.matcher === 'node_labels') {
    const selector = compileSelector(rule.text)
    if (selector === null) throw new TypeError(`policy: ${rule.text} is no label selector`)
    const { literals, stars } = selector
    return {
      rule, literals, stars, matches: () => false,
      selects: (labels, namespace) => selects(selector, labels, namespace),
    }
  }
  const { literals, stars, matches } = compileGlob(rule.text)
  return { rule, literals, stars, matches, selects: () => false }
}
