// What the files of stores of artifacts hold: read in the background, soon after somebody read or
// changed them, and told when it is not what was told before.

import { Worker } from 'node:worker_threads'
import type { ArtifactDigest, Process } from '../../proto/gen/events.ts'
import { isOfArtifacts } from '../../stores/rule.ts'
import type { StoreRule } from '../../stores/rule.ts'
import type { Clock } from '../clock.ts'
import { AgentError } from '../errors.ts'
import type {
  ArtifactAnswer, ArtifactBudget, ArtifactJob, ArtifactReply,
} from './artifacts/jobs.ts'

export interface DigestsOptions extends ArtifactBudget {
  clock: Clock
  /** By which the paths of the policy are reached. Default: of the agent, and of process 1. */
  nodeRoots?: readonly string[]
  add(kind: 'artifact_digest', values: Partial<ArtifactDigest>, time: bigint,
    process: Partial<Process> | undefined): void
  complain(error: AgentError): void
  /** So long a file must have rested after a change. */
  settleMs?: number
  /** A file that was not changed is looked at again after so long. */
  againMs?: number
  /** A part of a file that takes longer does not come any more. */
  silenceMs?: number
}

/** A file of a store that a process read, or changed and did not delete, as a record tells it. */
export interface SeenArtifact {
  /** Name of the store. */
  store: string
  /** In the mount namespace of the process, with its beginning. */
  path: string
  inode: bigint
  /** Kernel encoding. */
  device: number
  changed: boolean
  process: Partial<Process>
}

export interface DigestCounts {
  matches: number
  differs: number
  not_listed: number
  unknown: number
  /** Files for which there was no room. */
  refused: number
  bytes: number
}

interface Task { job: ArtifactJob, process: Partial<Process> | undefined, readyMs: number }

const tasksMax = 4096
const keptMax = 16_384
const readersMax = 8
const settleDefaultMs = 10_000
const againDefaultMs = 600_000
const silenceDefaultMs = 300_000
const turnMs = 1000

/** Does nothing, and has no thread, until a file of a store of artifacts was seen. */
export class Digests {
  readonly counts: DigestCounts =
    { matches: 0, differs: 0, not_listed: 0, unknown: 0, refused: 0, bytes: 0 }
  readonly #options: DigestsOptions
  readonly #nodeRoots: readonly string[]
  #rules = new Map<string, StoreRule>()
  /** Files that wait, by store and inode; those that only a manifest names, by path. */
  readonly #waiting = new Map<string, Task>()
  /** When a file was looked at last, by store and inode. */
  readonly #lookedMs = new Map<string, number>()
  /** What was told of a file, by store and inode. */
  readonly #told = new Map<string, string>()
  /** Processes that read a store last: others may reach its files when one has ended. */
  readonly #readers = new Map<string, number[]>()
  #thread: Worker | undefined
  /** It was told to end and has not: no other one begins. */
  #ending: Worker | undefined
  #current: Task | undefined
  #heardMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: DigestsOptions) {
    this.#options = options
    this.#nodeRoots = options.nodeRoots ?? ['/', '/proc/1/root']
  }

  /** False: files of this store are not looked at. */
  wants(store: string): boolean {
    return this.#options.bytesPerSecond > 0 && this.#rules.has(store)
  }

  /** Files that wait, the one that is read included. */
  get waiting(): number { return this.#waiting.size + (this.#current ? 1 : 0) }

  /** The stores, from here on. */
  setRules(rules: readonly StoreRule[]): void {
    const named = (rule: StoreRule): string =>
      [rule.name, rule.manifest, ...rule.manifestKeys].join('\n')
    const before = [...this.#rules.values()].map(named).join('\n\n')
    this.#rules = new Map(rules.filter(isOfArtifacts).map((rule) => [rule.name, rule]))
    for (const [key, { job }] of this.#waiting) {
      if (!this.#rules.has(job.store)) this.#waiting.delete(key)
    }
    // Another manifest, or another key: what was looked at says something else now.
    if (before !== [...this.#rules.values()].map(named).join('\n\n')) this.#lookedMs.clear()
  }

  /** A record told of a file. Cheap when there is nothing new in it. */
  note({ store, path, inode, device, changed, process: reader }: SeenArtifact): void {
    const rule = this.#rules.get(store)
    const { pid = 0 } = reader
    if (rule === undefined || !this.wants(store)) return
    if (pid === process.pid || !path.startsWith('/')) return
    this.#noteReader(store, pid)
    const key = `${store} ${device}:${inode}`
    const nowMs = performance.now()
    const lookedMs = this.#lookedMs.get(key)
    const { againMs = againDefaultMs, settleMs = settleDefaultMs } = this.#options
    if (!changed && lookedMs !== undefined && nowMs - lookedMs < againMs) return
    const before = this.#waiting.get(key)
    // Who reads it after it was changed is the one to be told of.
    this.#wait(key, {
      job: { ...this.#jobOf(rule, path), inode, device, expected: !changed },
      process: changed && before?.process ? before.process : reader,
      readyMs: changed ? nowMs + settleMs : before?.readyMs ?? nowMs,
    })
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#waiting.clear()
    const thread = this.#thread
    this.#thread = this.#current = undefined
    void thread?.terminate()
  }

  #noteReader(store: string, pid: number): void {
    const readers = this.#readers.get(store) ?? []
    this.#readers.set(store, [pid, ...readers.filter((one) => one !== pid)].slice(0, readersMax))
    keepWithin(this.#readers, 1024)
  }

  /** A file that a manifest names. */
  #jobOf(rule: StoreRule, path: string): ArtifactJob {
    const { name: store, manifest, manifestKeys: keys } = rule
    return {
      store, path, inode: 0n, device: 0, roots: [], expected: false,
      manifest: manifest === '' ? null : { path: manifest, keys },
    }
  }

  #wait(key: string, task: Task): void {
    if (!this.#waiting.has(key) && this.#waiting.size >= tasksMax && !this.#makeRoom(task)) return
    this.#waiting.set(key, task)
    this.#timer ??= setInterval(() => this.#turn(), turnMs).unref()
    if (task.readyMs <= performance.now()) this.#turn()
  }

  /** Files that were seen go before those that a manifest names. */
  #makeRoom({ job }: Task): boolean {
    this.counts.refused++
    if (job.inode === 0n) return false
    for (const [key, task] of this.#waiting) {
      if (task.job.inode === 0n) return this.#waiting.delete(key)
    }
    return false
  }

  /** Hands the next file over when the thread has nothing to do. */
  #turn(): void {
    const nowMs = performance.now()
    if (this.#current) return this.#checkSilence(nowMs)
    if (this.#ending) return
    const key = this.#nextKey(nowMs)
    if (key === undefined) return
    const task = this.#waiting.get(key)!
    this.#waiting.delete(key)
    this.#lookedMs.delete(key)
    this.#lookedMs.set(key, nowMs)
    keepWithin(this.#lookedMs, keptMax)
    this.#current = task
    this.#heardMs = nowMs
    this.#thread ??= this.#open()
    this.#thread.postMessage(this.#withRoots(task))
  }

  /** Files that were seen go before those that a manifest names. */
  #nextKey(nowMs: number): string | undefined {
    let next: string | undefined
    for (const [key, { job, readyMs }] of this.#waiting) {
      if (readyMs > nowMs) continue
      if (job.inode !== 0n) return key
      next ??= key
    }
    return next
  }

  #withRoots({ job, process: reader }: Task): ArtifactJob {
    if (job.roots.length > 0) return job
    const pids = new Set([reader?.pid ?? 0, ...this.#readers.get(job.store) ?? []])
    const roots = [...pids].filter((pid) => pid > 0).map((pid) => `/proc/${pid}/root`)
    return { ...job, roots: [...this.#nodeRoots, ...roots] }
  }

  #open(): Worker {
    const { bytesPerSecond, bytesPerDay } = this.#options
    const thread = new Worker(new URL('./artifacts/thread.ts', import.meta.url), {
      workerData: { bytesPerSecond, bytesPerDay, nodeRoots: this.#nodeRoots },
      // Enough for the largest manifest.
      resourceLimits: { maxOldGenerationSizeMb: 256 },
    })
    thread.on('message', (reply: ArtifactReply | null) => {
      if (thread !== this.#thread) return
      this.#heardMs = performance.now()
      if (reply) this.#take(reply)
    })
    thread.on('error', (error) => this.#over(thread, error.message))
    thread.on('exit', () => {
      if (thread === this.#ending) this.#ending = undefined
      this.#over(thread, 'the end of the thread')
    })
    thread.unref()
    return thread
  }

  #over(thread: Worker, what: string): void {
    if (thread !== this.#thread) return
    const { job } = this.#current ?? {}
    this.#thread = this.#current = undefined
    this.#options.complain(new AgentError('ARTIFACT_UNREADABLE',
      `reading ${JSON.stringify(job?.path.slice(0, 256) ?? '')} ended with: ${what.slice(0, 256)}`))
  }

  /** A file system that does not answer: the thread is left to it until it does. */
  #checkSilence(nowMs: number): void {
    const { silenceMs = silenceDefaultMs } = this.#options
    if (nowMs - this.#heardMs < silenceMs) return
    const thread = this.#ending = this.#thread!
    this.#over(thread, `no answer for ${Math.round(silenceMs / 1000)} s`)
    void thread.terminate()
  }

  #take({ answer, others }: ArtifactReply): void {
    const { job, process } = this.#current!
    this.#current = undefined
    const rule = this.#rules.get(job.store)
    if (rule && answer) this.#tell(job.store, answer, process)
    for (const path of rule ? others.paths : []) {
      this.#wait(`${job.store} ${others.root} ${path}`, {
        job: { ...this.#jobOf(rule!, path), roots: [others.root] },
        process: undefined, readyMs: performance.now(),
      })
    }
    this.#turn()
  }

  #tell(store: string, answer: ArtifactAnswer, process: Partial<Process> | undefined): void {
    const { path, bytes, sha256, verdict, reason, manifestPath, keyId, inode, device } = answer
    const key = `${store} ${device}:${inode}`
    const said = `${verdict} ${sha256} ${reason}`
    if (this.#told.get(key) === said) return
    this.#told.delete(key)
    this.#told.set(key, said)
    keepWithin(this.#told, keptMax)
    this.counts[verdict]++
    if (sha256 !== '') this.counts.bytes += bytes
    this.#options.add('artifact_digest', {
      path, store, bytes, verdict, inode, device, reason: reason || undefined,
      sha256: sha256 || undefined, manifest_path: manifestPath || undefined,
      key_id: keyId || undefined,
    }, this.#options.clock.now().bootNs, process)
  }
}

/** What was put in first leaves first. */
function keepWithin<K, V>(map: Map<K, V>, max: number): void {
  if (map.size > max) map.delete(map.keys().next().value!)
}
