// What the cluster does all day, as exact numbers per hour. A load that takes less time does the
// same connections faster: every rate is then higher than in life, by the factor that is said.

import { addressOf, ATTACKER_ADDRESS, PORTS, USER_ADDRESS, WATCHED } from './layout.ts'
import type { NodeName } from './layout.ts'
import type { RigNode } from './node.ts'
import type { Program } from './program.ts'
import type { LoadReport, Task } from '../programs/load.ts'
import type { User } from './users.ts'

interface HourlyTask extends Omit<Task, 'times'> {
  on: NodeName
  per_hour: number
}

const model = `http://${addressOf('inference')}:${PORTS.inference}`
const gateway = `http://${addressOf('ingestion')}:${PORTS.ingestion}`
const store = `http://${addressOf('storage')}:${PORTS.store}`

const HOUR: readonly HourlyTask[] = [
  { name: 'users ask the model', on: 'outside', do: 'http', to: `${model}/v1/generate`,
    method: 'POST', bytes: 400, from: USER_ADDRESS, per_hour: 1200, regular: false },
  { name: 'programs ask the model', on: 'outside', do: 'grpc', per_hour: 400, regular: false,
    to: `${addressOf('inference')}:${PORTS.inference_grpc}` },
  { name: 'a partner asks the model', on: 'outside', do: 'http', to: `${model}/v1/generate`,
    method: 'POST', bytes: 400, from: ATTACKER_ADDRESS, per_hour: 60, regular: false },
  { name: 'providers upload', on: 'outside', do: 'http', to: `${gateway}/upload`,
    method: 'PUT', bytes: 50_000, from: USER_ADDRESS, per_hour: 240, regular: false },
  ...WATCHED.map((name): HourlyTask => ({
    name: `scrape of ${name}`, on: 'orchestration', do: 'http', per_hour: 240, regular: true,
    to: `http://${addressOf(name)}:${PORTS.agent_http}/metrics`,
  })),
  ...Object.entries({ model, gateway, store }).map(([name, to]): HourlyTask => ({
    name: `health of the ${name}`, on: 'orchestration', do: 'http', to: `${to}/healthz`,
    per_hour: 360, regular: true,
  })),
  ...WATCHED.map((name): HourlyTask => ({
    name: `administration of ${name}`, on: 'orchestration', do: 'run', to: name,
    words: ['ssh', `ops@${name}`, 'uptime'], per_hour: 20, regular: false,
  })),
  ...WATCHED.map((name): HourlyTask => ({
    name: `time for ${name}`, on: name, do: 'ntp', per_hour: 60, regular: true,
    to: `${addressOf('orchestration')}:${PORTS.time}`,
  })),
  ...WATCHED.map((name): HourlyTask => ({
    name: `a name for ${name}`, on: name, do: 'run', to: 'storage',
    words: ['getent', 'hosts', 'storage'], per_hour: 60, regular: false,
  })),
]

/** Who does the work of a node, in which cgroup. */
const ACTORS: Record<NodeName, { user: User, unit: string }> = {
  'outside': { user: 'data', unit: 'world' },
  'orchestration': { user: 'ops', unit: 'monitoring.service' },
  'storage': { user: 'data', unit: 'node-jobs.service' },
  'training-1': { user: 'train', unit: 'node-jobs.service' },
  'training-2': { user: 'train', unit: 'node-jobs.service' },
  'inference': { user: 'infer', unit: 'node-jobs.service' },
  'ingestion': { user: 'data', unit: 'node-jobs.service' },
}

export interface Load {
  /** Hours of work. */
  hours: number
  /** Seconds in which it is done. */
  span_s: number
  /** Another seed puts what is random at other moments. */
  seed: number
}

/** Benign work that goes on. */
export class BenignWork {
  readonly load: Load
  readonly #programs: Program[]

  private constructor(load: Load, programs: Program[]) {
    this.load = load
    this.#programs = programs
  }

  static async start(nodes: ReadonlyMap<string, RigNode>, load: Load): Promise<BenignWork> {
    const { hours, span_s: spanS, seed } = load
    const programs = await Promise.all([...nodes.values()].map((node) => {
      const tasks = HOUR.filter(({ on }) => on === node.name)
        .map(({ on: _, per_hour: perHour, ...task }): Task => ({
          ...task, times: Math.max(1, Math.round(perHour * hours)),
        }))
      const plan = JSON.stringify({ tasks, span_s: spanS, seed })
      return node.serve('load.ts', [plan], ACTORS[node.name as NodeName])
    }))
    return new BenignWork(load, programs)
  }

  /** Waits for its end. Gives how often each task was done; throws when one failed. */
  async finished(): Promise<Record<string, number>> {
    const outputs = await Promise.all(this.#programs.map((program) => program.succeeds()))
    const reports = outputs.map((text) =>
      JSON.parse(text.trimEnd().split('\n').at(-1)!) as LoadReport)
    const failed = reports.flatMap((one) => Object.entries(one.failed))
    if (failed.length > 0) {
      throw new Error(`benign work failed: ${failed.map(([name, errors]) =>
        `${name}: ${errors.length} times, such as ${errors[0]}`).join('; ')}`)
    }
    return Object.assign({}, ...reports.map((one) => one.done)) as Record<string, number>
  }

  stop(): void {
    for (const program of this.#programs) program.signal('SIGTERM')
  }
}
