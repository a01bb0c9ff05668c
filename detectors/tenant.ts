/** Which job or tenant a process belongs to. */
import type { LineageProcess } from '../detect/lineage.ts'

/** Who a process works for. */
export interface Tenant {
  /** `session`: someone's login, or a program that no workload holds. */
  kind: 'job' | 'pod' | 'session' | 'service'
  /** The job, or the namespace of the pod; '' when it is not known. */
  name: string
  /** User id. */
  uid: number
}

export function tenantOf({ cgroup, rowWorkload, uid }: LineageProcess): Tenant {
  const { facts } = cgroup
  const workload = cgroup.workload || rowWorkload
  if (facts?.pod_uid || workload.startsWith('pod:')) {
    return { kind: 'pod', name: facts?.namespace ?? '', uid }
  }
  if (workload.startsWith('job:')) return { kind: 'job', name: workload, uid }
  const session = workload === '' || workload.startsWith('/') || workload.endsWith('.slice')
  return { kind: session ? 'session' : 'service', name: workload, uid }
}

/** `Slurm job 41 of uid 1000`, `namespace team-a`. */
export function tenantInWords({ kind, name, uid }: Tenant): string {
  if (kind === 'job') return `job ${name.slice('job:'.length)} of uid ${uid}`
  return kind === 'pod' ? `namespace ${name}` : kind === 'session' ? `no job (uid ${uid})` : name
}
