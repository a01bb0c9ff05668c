/**
 * Who was put into a container that runs already, as `kubectl exec` does: the first process that
 * the runtime starts in a container is the container itself, every later one was sent in. Bounded:
 * the containers that were seen first are forgotten.
 */
import type { LineageProcess } from '../lineage.ts'

export type EntriesSnapshot = {
  firsts: [cgroup: number, process: number][]
  kubelets: [source: number, process: number][]
  forgotten: number
}

/** Where kubelet takes the commands of the API server. */
export const KUBELET_PORT = 10_250
const CONTAINERS_MAX = 32_768
const KUBELETS_MAX = 20_000
/** They put processes into containers. */
const runtimes = /^(?:containerd-shim[-\w]*|runc(?::.*)?|crun|conmon(?:rs)?|dockerd|kata-shim)$/

export class Entries {
  /** Containers that gave way: what is sent in next is taken for the container itself. */
  forgotten = 0
  /** Number of the process by that of the cgroup. */
  private readonly firsts = new Map<number, number>()
  private readonly kubelets = new Map<number, number>()

  /** A process accepted a connection on the port of kubelet. */
  noteKubelet({ source, number }: LineageProcess): void {
    this.kubelets.set(source, number)
    for (const oldest of this.kubelets.keys()) {
      if (this.kubelets.size <= KUBELETS_MAX) break
      this.kubelets.delete(oldest)
    }
  }

  /** Number of kubelet on a node; 0 when it is not known. */
  kubeletOf(source: number): number {
    return this.kubelets.get(source) ?? 0
  }

  /** The runtime starts a program there. True when the container ran before. */
  isEntered({ cgroup, number }: LineageProcess): boolean {
    const first = this.firsts.get(cgroup.number)
    if (first !== undefined) return first !== number
    this.firsts.set(cgroup.number, number)
    for (const oldest of this.firsts.keys()) {
      if (this.firsts.size <= CONTAINERS_MAX) break
      this.firsts.delete(oldest)
      this.forgotten++
    }
    return false
  }

  snapshot(): EntriesSnapshot {
    const { firsts, kubelets, forgotten } = this
    return { firsts: [...firsts], kubelets: [...kubelets], forgotten }
  }

  /** Takes over what `snapshot` gave; this one must be empty. */
  restore({ firsts, kubelets, forgotten }: EntriesSnapshot): void {
    for (const [cgroup, process] of firsts) this.firsts.set(cgroup, process)
    for (const [source, process] of kubelets) this.kubelets.set(source, process)
    this.forgotten = forgotten
  }
}

/** It runs in a container, of a pod or not. */
export function isInContainer({ cgroup, rowWorkload }: LineageProcess): boolean {
  const workload = cgroup.workload || rowWorkload
  return workload.startsWith('pod:') || workload.startsWith('container:')
}

export function isRuntime({ exe, comm }: LineageProcess): boolean {
  return runtimes.test(exe === '' ? comm : exe.slice(exe.lastIndexOf('/') + 1)) ||
    runtimes.test(comm)
}
