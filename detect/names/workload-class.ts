/** Workloads that do the same work share what is learned of them. */
import type { LineageProcess } from '../lineage.ts'

/** What decides the class of a process. */
type Worker = Pick<LineageProcess, 'cgroup' | 'rowWorkload' | 'uid' | 'exe' | 'comm'>

/**
 * The class of a process: workloads that do the same work share what they learn. Jobs of Slurm come
 * and go: those of one user are a class, a number. Pods do, too: those of one owner are a class,
 * once it is known. Everything else goes by its own name.
 */
export function classOf({ cgroup, rowWorkload, uid, exe, comm }: Worker): string | number {
  const { facts, workload } = cgroup
  if (facts !== null && facts.owner !== '') return `${facts.namespace} ${facts.owner}`
  const name = workload || rowWorkload
  return name.startsWith('job:') ? uid : name || exe || comm
}

/** True for a class of Slurm jobs: users run there what they like. */
export function isJobClass(key: string | number): key is number {
  return typeof key === 'number'
}

/** The class as a text, which is its key where classes are learned of. */
export function className(key: string | number): string {
  return isJobClass(key) ? `jobs of uid ${key}` : key
}
