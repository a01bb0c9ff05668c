// The pods of this node, from the Kubernetes API: their names, and whose address is whose.

import { AddressBook, addressesOfPod } from '../../kubernetes/addresses.ts'
import type { SeenAddress } from '../../kubernetes/addresses.ts'
import type { KubernetesError } from '../../kubernetes/errors.ts'
import { keepPod } from '../../kubernetes/objects.ts'
import type { PodFacts } from '../../kubernetes/objects.ts'
import type { Client } from '../../kubernetes/request.ts'
import { Watch } from '../../kubernetes/watch.ts'
import type { Workloads } from './workloads.ts'

export interface PodsOptions {
  client: Client
  /** Name of the node in Kubernetes. */
  node: string
  workloads: Workloads
  addressSeen(address: SeenAddress): void
  complain(error: KubernetesError): void
  recovered(): void
}

/** Kubernetes allows 110 by default; some sites run 500. */
const podsMax = 2048

/** Pods of a node, told as workloads and addresses. */
export class Pods {
  readonly #options: PodsOptions
  readonly #watch: Watch<PodFacts>
  readonly #book = new AddressBook()

  constructor(options: PodsOptions) {
    this.#options = options
    this.#watch = new Watch<PodFacts>({
      ...options, path: '/api/v1/pods', query: { fieldSelector: `spec.nodeName=${options.node}` },
      keep: keepPod, changed: (uid, pod) => this.#changed(uid, pod), entriesMax: podsMax,
    })
  }

  /** Pods that are known, and what did not fit or could not be read. */
  get counts(): { known: number, left: number, malformed: number } {
    const { size: known, left, malformed } = this.#watch
    return { known, left, malformed }
  }

  start(): void { this.#watch.start() }

  stop(): Promise<void> { return this.#watch.stop() }

  #changed(uid: string, pod: PodFacts | undefined): void {
    const { workloads, addressSeen } = this.#options
    const told = this.#book.changed(uid, pod ? addressesOfPod(pod) : [])
    for (const address of told) addressSeen(address)
    if (pod) workloads.setFacts(`pod:${uid}`, factsOf(pod))
    if (!pod || pod.ended) workloads.ended(`pod:${uid}`, Date.now())
  }
}

function factsOf({ namespace, name, service_account, labels, owner }: PodFacts): object {
  return {
    namespace, pod_name: name, service_account, labels, owner, facts_source: 'kubernetes',
  }
}
