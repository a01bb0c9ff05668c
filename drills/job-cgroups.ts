/** Cgroups that look like those of Slurm jobs, for a drill. Needs root. */
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DrillError } from './drill.ts'

/** A cgroup v2 of a drill. */
export interface JobCgroup {
  job: string
  /** The file that takes the pid of who enters. */
  procs: string
  /** Removes it and its parent, when nobody is left in them. Never throws. */
  remove(): Promise<void>
}

const REMOVE_TRIES = 20
const REMOVE_PAUSE_MS = 50

/**
 * Makes one for each job, below a folder of its own in the cgroup of this process. Throws
 * DrillError, then nothing is left.
 */
export function jobCgroups(jobs: readonly string[]): JobCgroup[] {
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/'
  const parent = join(mountOfCgroup2(), own, `vedette-drill-${process.pid}_slurmstepd.scope`)
  try {
    mkdirSync(parent)
    return jobs.map((job) => {
      const folder = join(parent, `job_${job}`)
      mkdirSync(folder)
      return { job, procs: join(folder, 'cgroup.procs'), remove: () => removeAll(folder, parent) }
    })
  } catch (error) {
    for (const folder of [...jobs.map((job) => join(parent, `job_${job}`)), parent]) drop(folder)
    const why = error instanceof Error ? error.message : String(error)
    throw new DrillError(`the cgroups of the drill cannot be made: ${why}`, { cause: error })
  }
}

function mountOfCgroup2(): string {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  const found = lines.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')
  if (found) return found[1]
  throw new DrillError('no cgroup v2 is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified')
}

async function removeAll(folder: string, parent: string): Promise<void> {
  // A process that has ended leaves its cgroup a moment later.
  for (let tries = 0; tries < REMOVE_TRIES && !drop(folder); tries++) await sleep(REMOVE_PAUSE_MS)
  drop(parent)
}

function drop(folder: string): boolean {
  try {
    rmdirSync(folder)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}
