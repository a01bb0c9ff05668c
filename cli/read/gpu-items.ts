/** The state of the GPUs of one node: of this one, read now, or of another one, from the log. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openClock } from '../../agent/clock.ts'
import { openGpus } from '../../agent/gpu/open.ts'
import type { FoundItem } from '../../gpu/baseline/check.ts'
import { CliError } from '../errors.ts'
import { say } from '../output.ts'
import type { Values } from '../settings.ts'
import { readFleet } from './gpu-fleet.ts'

const POLL_MS = 50
/** NVML of a machine that was just started takes seconds. */
const WAIT_MS = 30_000

/**
 * The items of `--node`, or of this node where none is named. Throws CliError.
 */
export async function readItems(values: Values): Promise<FoundItem[]> {
  const { node: nodes = [] } = values
  if (nodes.length > 1) throw new CliError('CLI_USAGE', 'name one --node')
  const [nodeId] = nodes
  if (nodeId === undefined) return readOwn(values)
  const { states } = await readFleet(values)
  const items = [...states.itemsOf(nodeId)]
  if (items.length > 0) return items
  const known = [...states.nodes()].slice(0, 8).join(', ')
  throw new CliError('CLI_NO_DATA', `${nodeId} told nothing of GPUs; ` +
    (known === '' ? 'no node did' : `these nodes did: ${known}`))
}

async function readOwn(values: Values): Promise<FoundItem[]> {
  const found: FoundItem[] = []
  const gpus = openGpus({
    config: {
      gpu_root: values.gpu_root ?? '/', gpu_library: values.gpu_library ?? 'libnvidia-ml.so.1',
      gpu_interval_ms: 3_600_000, gpu_evidence: false,
    },
    clock: openClock(), complain: (error) => say(`vedette: ${error.message}`),
    factsOf: () => ({ exe: '', cgroup_path: '', workload: '' }),
    add: (kind, told) => {
      if (kind !== 'gpu_state') return
      const { subject = '', item = '', value = '', reading = '', reason = '' } =
        told as Partial<FoundItem>
      found.push({ subject, item, value, reading: reading as FoundItem['reading'], reason })
    },
  })
  gpus.start()
  try {
    for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += POLL_MS) {
      const readers = [...gpus.counts.readers.values()]
      if (readers.every(({ ok, failed }) => ok + failed > 0)) break
      await sleep(POLL_MS)
    }
  } finally {
    gpus.stop()
  }
  if (found.some(({ subject }) => subject.startsWith('gpu:'))) return found
  throw new CliError('CLI_NO_DATA', 'this node has no NVIDIA GPU; name another one with --node, ' +
    'and where to read of it with --server or --data')
}
