// What Slurm says of its jobs and of this node: by its own program where it is installed, else by
// what a job says of itself in its environment.

import { execFile } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { WorkloadFacts } from './workloads.ts'

/** Where packages and sites put it. PATH is not used: the agent must run no program of a user. */
const programs = ['/usr/bin/scontrol', '/usr/local/bin/scontrol', '/opt/slurm/bin/scontrol',
  '/cm/shared/apps/slurm/current/bin/scontrol']
const timeoutMs = 5000
const outputBytesMax = 256 * 1024
/** A question a second at most: slurmctld has others to serve. */
const questionIntervalMs = 1000
const questionsMax = 256
const charsMax = 256

export interface SlurmOptions {
  facts(job: string, facts: WorkloadFacts): void
  /** Default: the first place where it is; '' for none. */
  scontrol?: string
  procDir?: string
  intervalMs?: number
}

interface Question { job: string, pids: number[] }

/** Asks for one job after the other. */
export class Slurm {
  /** Jobs of which nothing could be learned, and those that did not fit into the queue. */
  misses = 0
  readonly #options: SlurmOptions
  readonly #scontrol: string
  readonly #waiting = new Map<string, Question>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: SlurmOptions) {
    this.#options = options
    this.#scontrol = options.scontrol ?? programs.find(isProgram) ?? ''
  }

  /** Is asked soon; `pids` are processes of the job. */
  ask(job: string, pids: number[]): void {
    const known = this.#waiting.get(job)
    if (known) known.pids.push(...pids.slice(0, Math.max(0, 16 - known.pids.length)))
    else if (this.#waiting.size >= questionsMax) this.misses++
    else this.#waiting.set(job, { job, pids: pids.slice(0, 16) })
    this.#timer ??= setTimeout(() => void this.#next(), 0)
  }

  /** Partitions that a node is in; none without scontrol. */
  async partitionsOf(node: string): Promise<string[]> {
    const text = await this.#run('node', node)
    return (valueOf(text, 'Partitions') ?? '').split(',').filter((name) => name !== '')
      .map((name) => name.slice(0, charsMax)).slice(0, 64)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#waiting.clear()
  }

  async #next(): Promise<void> {
    const [question] = this.#waiting.values()
    if (question) {
      this.#waiting.delete(question.job)
      const facts = await this.#factsOf(question)
      if (facts) this.#options.facts(question.job, facts)
      else this.misses++
    }
    this.#timer = this.#waiting.size === 0 ? undefined
      : setTimeout(() => void this.#next(), this.#options.intervalMs ?? questionIntervalMs)
  }

  async #factsOf({ job, pids }: Question): Promise<WorkloadFacts | undefined> {
    const said = pids.map((pid) => environmentOf(pid, this.#options.procDir ?? '/proc'))
      .find((facts) => facts !== undefined)
    const number = /^\d+$/.test(job) ? job : said?.slurm_job
    const text = number === undefined ? '' : await this.#run('job', number)
    return factsOfJob(text) ?? said
  }

  #run(what: 'job' | 'node', name: string): Promise<string> {
    const scontrol = this.#scontrol
    if (scontrol === '' || !/^[\w.-]+$/.test(name) || name.startsWith('-')) {
      return Promise.resolve('')
    }
    return new Promise((resolve) => {
      const options = { timeout: timeoutMs, maxBuffer: outputBytesMax, killSignal: 'SIGKILL' }
      execFile(scontrol, ['-o', 'show', what, name], options as object,
        (error, stdout) => resolve(error ? '' : String(stdout)))
    })
  }
}

/** Facts from `scontrol -o show job ID`: one line of Key=value. Undefined when it names no job. */
export function factsOfJob(text: string): WorkloadFacts | undefined {
  const job = valueOf(text, 'JobId')
  if (job === undefined) return undefined
  // The name may hold blanks; the user follows it.
  const name = / JobName=(.*?) UserId=/.exec(text)?.[1] ?? ''
  return {
    slurm_job: job, slurm_job_name: name.slice(0, charsMax), facts_source: 'slurm',
    slurm_partition: valueOf(text, 'Partition') ?? '',
    slurm_user: (valueOf(text, 'UserId') ?? '').replace(/\(\d+\)$/, ''),
  }
}

function valueOf(text: string, key: string): string | undefined {
  return new RegExp(`(?:^|\\s)${key}=(\\S+)`).exec(text)?.[1].slice(0, charsMax)
}

/** What a process of a job has in its environment; only these names are looked at. */
function environmentOf(pid: number, procDir: string): WorkloadFacts | undefined {
  let text: string
  try {
    text = readFileSync(join(procDir, String(pid), 'environ'), 'utf8')
  } catch {
    return undefined
  }
  const value = (name: string): string => {
    const line = text.split('\0').find((one) => one.startsWith(`${name}=`))
    return line?.slice(name.length + 1).slice(0, charsMax) ?? ''
  }
  const job = value('SLURM_JOB_ID')
  if (!/^\d+$/.test(job)) return undefined
  return {
    slurm_job: job, slurm_job_name: value('SLURM_JOB_NAME'), facts_source: 'environment',
    slurm_partition: value('SLURM_JOB_PARTITION'), slurm_user: value('SLURM_JOB_USER'),
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
