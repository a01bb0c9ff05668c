// The pods of this node, from the Kubernetes API: their names, and whose address is whose.

import type { KubernetesError } from '../../kubernetes/errors.ts'
import { keepPod } from '../../kubernetes/objects.ts'
import type { PodFacts } from '../../kubernetes/objects.ts'
import type { Client } from '../../kubernetes/request.ts'
import { Watch } from '../../kubernetes/watch.ts'
import type { AddressSeen } from '../../proto/gen/events.ts'
import type { Workloads } from './workloads.ts'

export interface PodsOptions {
  client: Client
  /** Name of the node in Kubernetes. */
  node: string
  workloads: Workloads
  addressSeen(address: Partial<AddressSeen>): void
  complain(error: KubernetesError): void
  recovered(): void
}

/** Kubernetes allows 110 by default; some sites run 500. */
const podsMax = 2048

/** Pods of a node, told as workloads and addresses. */
export class Pods {
  readonly #options: PodsOptions
  readonly #watch: Watch<PodFacts>
  /** Addresses that were told, with the pod that has them. */
  readonly #addresses = new Map<string, PodFacts>()

  constructor(options: PodsOptions) {
    this.#options = options
    this.#watch = new Watch<PodFacts>({
      ...options, path: '/api/v1/pods', query: { fieldSelector: `spec.nodeName=${options.node}` },
      keep: keepPod, changed: (uid, pod) => this.#changed(uid, pod), entriesMax: podsMax,
    })
  }

  get size(): number { return this.#watch.size }

  start(): void { this.#watch.start() }

  stop(): Promise<void> { return this.#watch.stop() }

  #changed(uid: string, pod: PodFacts | undefined): void {
    const { workloads } = this.#options
    for (const [address, owner] of this.#addresses) {
      if (owner.uid !== uid || (pod && !pod.ended && pod.addresses.includes(address))) continue
      this.#addresses.delete(address)
      this.#tell(address, owner, true)
    }
    if (pod) {
      workloads.setFacts(`pod:${uid}`, factsOf(pod))
      if (!pod.ended) for (const address of pod.addresses) this.#take(address, pod)
    }
    if (!pod || pod.ended) workloads.ended(`pod:${uid}`, Date.now())
  }

  #take(address: string, pod: PodFacts): void {
    this.#addresses.set(address, pod)
    this.#tell(address, pod, false)
  }

  #tell(address: string, pod: PodFacts, gone: boolean): void {
    const { namespace, name, service_account, labels, node } = pod
    this.#options.addressSeen({
      seen_addr: address, address_kind: 'pod', workload: `pod:${namespace}/${name}`, namespace,
      service_account, labels, on_node: node, gone,
    })
  }
}

function factsOf({ namespace, name, service_account, labels, owner }: PodFacts): object {
  return {
    namespace, pod_name: name, service_account, labels, owner, facts_source: 'kubernetes',
  }
}
