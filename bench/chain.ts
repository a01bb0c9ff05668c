// The chain engine: connections of 100 nodes through the graph and NET-002, one thread.

import { Engine } from '../detect/engine.ts'
import lateralChain from '../detectors/lateral-chain.ts'
import { parsePolicy } from '../policy/parse.ts'
import type { Figure } from './figure.ts'
import { openedBatches } from './sample-batches.ts'
import { SampleCluster, clusterPolicy } from './sample-cluster.ts'

const live = 1_000_000
/** Made and measured in parts: all at once would be memory of the bench, not of the engine. */
const part = 500_000
const replaced = 500_000

export async function measure(): Promise<Figure[]> {
  const { policy, problems } = parsePolicy(clusterPolicy)
  if (!policy) throw new Error(`the policy of the bench is broken: ${problems[0].message}`)
  const engine = new Engine({ detectors: [lateralChain], policy })
  const cluster = new SampleCluster(live + replaced)
  let position = 0
  const run = (opens: number, replace: boolean): [events: number, seconds: number] => {
    let events = 0
    let seconds = 0
    for (let done = 0; done < opens; done += part) {
      const batches = openedBatches(cluster.batches(part, replace))
      const start = process.threadCpuUsage()
      for (const batch of batches) {
        engine.ingest(batch, ++position)
        events += batch.kinds.length
      }
      const { user, system } = process.threadCpuUsage(start)
      seconds += (user + system) / 1e6
    }
    return [events, seconds]
  }
  const [opened, fillingS] = run(live, false)
  const filled = engine.counters()
  const [changed, changingS] = run(replaced, true)
  const counters = engine.counters()
  const findings = counters.findings[lateralChain.id]
  if (filled.connections < live * 0.99) throw new Error(`only ${filled.connections} live`)
  if (findings === 0) throw new Error('no chain was found: the bench is broken')
  const bytes = engine.connectionBytes
  return [
    { name: 'connections opened', value: opened / fillingS, unit: 'events/s', at_least: 500_000,
      note: `both ends, ${filled.processes} processes, up to ${filled.connections} connections` },
    { name: 'connections replaced', value: changed / changingS, unit: 'events/s',
      at_least: 500_000, note: `at ${counters.connections} connections, ${findings} findings` },
    { name: 'memory of connections', value: bytes / 2 ** 20, unit: 'MiB', below: 512,
      note: `columns of ${counters.connections}; resident ` +
        `${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB with the bench itself` },
  ]
}
