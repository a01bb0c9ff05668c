// Names from the cluster's own books: Kubernetes, Slurm, and the node itself.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hostname } from 'node:os'
import { accessOf } from '../../kubernetes/access.ts'
import type { AccessSettings } from '../../kubernetes/access.ts'
import type { KubernetesError } from '../../kubernetes/errors.ts'
import { keepNode } from '../../kubernetes/objects.ts'
import { Client } from '../../kubernetes/request.ts'
import { Watch } from '../../kubernetes/watch.ts'
import type { EventValues } from '../../proto/gen/events.ts'
import type { Cgroup } from '../enrich/cgroups.ts'
import { NodeNames } from './node.ts'
import { Pods } from './pods.ts'
import { Slurm } from './slurm.ts'
import { Workloads } from './workloads.ts'

export interface NamesOptions {
  config: AccessSettings & { node_id: string, node_group: string }
  cgroupMount: string
  /** Where the events go. */
  add<K extends 'workload_seen' | 'address_seen' | 'node_seen'>(
    kind: K, values: Partial<EventValues[K]>): void
  complain(error: KubernetesError): void
  recovered(): void
}

/** What is known of the cluster, and what could not be kept or learned. */
export interface NameCounts {
  /** Objects of the Kubernetes API, times that one did not fit, lines that could not be read. */
  kubernetes: { known: number, left: number, malformed: number }
  /** Facts that could not be told, by name, as those of the enricher. */
  misses: { slurm_job: number, workload: number, node_address: number }
}

/** What runs beside the path of the events. */
export interface Names {
  readonly counts: NameCounts
  /** A cgroup whose path is known now. */
  cgroupFound(cgroup: Cgroup): void
  start(): void
  stop(): Promise<void>
}

/** Throws KubernetesError KUBERNETES_ACCESS for settings that cannot be used. */
export function openNames(options: NamesOptions): Names {
  const { config, add, cgroupMount } = options
  const workloads = new Workloads({ seen: (workload) => add('workload_seen', workload) })
  const slurm = new Slurm({ facts: (job, facts) => workloads.setFacts(`job:${job}`, facts) })
  const node = new NodeNames({
    seen: (found) => add('node_seen', found), group: config.node_group,
    // Slurm names nodes by the first part of the host name.
    partitions: () => slurm.partitionsOf(hostname().split('.')[0]),
  })
  const access = accessOf(config)
  const kubernetes = access && watchKubernetes(new Client(access), options, workloads, node)
  return {
    get counts() {
      return {
        kubernetes: kubernetes?.counts() ?? { known: 0, left: 0, malformed: 0 },
        misses: {
          slurm_job: slurm.misses, workload: workloads.evictions, node_address: node.misses,
        },
      }
    },
    cgroupFound: (cgroup) => {
      const { pod_uid: pod, slurm_job: job } = cgroup.workload
      if (pod !== '' && kubernetes) workloads.addCgroup(`pod:${pod}`, cgroup)
      else if (job !== '' && workloads.addCgroup(`job:${job}`, cgroup)) {
        slurm.ask(job, pidsOf(join(cgroupMount, cgroup.path)))
      }
    },
    start() {
      node.start()
      kubernetes?.start()
    },
    async stop() {
      node.stop()
      slurm.stop()
      await kubernetes?.stop()
    },
  }
}

function watchKubernetes(
  client: Client, options: NamesOptions, workloads: Workloads, node: NodeNames,
): { start(): void, stop(): Promise<void>, counts(): NameCounts['kubernetes'] } {
  const { config: { node_id }, add, complain, recovered } = options
  const pods = new Pods({
    client, node: node_id, workloads, complain, recovered,
    addressSeen: (address) => add('address_seen', address),
  })
  const self = new Watch({
    client, path: '/api/v1/nodes', query: { fieldSelector: `metadata.name=${node_id}` },
    keep: keepNode, changed: (_, found) => node.setLabels(found?.labels ?? []), entriesMax: 1,
    complain, recovered,
  })
  return {
    counts() {
      const { known, left, malformed } = pods.counts
      return {
        known: known + self.size, left: left + self.left, malformed: malformed + self.malformed,
      }
    },
    start() {
      pods.start()
      self.start()
    },
    async stop() {
      await Promise.all([pods.stop(), self.stop()])
      client.close()
    },
  }
}

/** Processes in a cgroup itself; none when it is gone. */
function pidsOf(folder: string): number[] {
  try {
    const text = readFileSync(join(folder, 'cgroup.procs'), 'utf8')
    return text.split('\n').filter((line) => line !== '').map(Number).slice(0, 16)
  } catch {
    return []
  }
}
