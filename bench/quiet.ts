// What `vedette up` costs when nothing happens: both halves in one process, the probes attached,
// limited to a cgroup without processes, so that nothing else on this machine counts as an event.
// Only its own heartbeats go through the path.

import { setTimeout as sleep } from 'node:timers/promises'
import { ScopeCgroup } from '../test/probes/scope-cgroup.ts'
import type { Figure } from './figure.ts'
import { startHalf } from './halves.ts'
import { cpuSecondsOf, residentOf } from './process-cost.ts'
import { temporaryFolder } from './rig.ts'

const secondsBefore = 5
const seconds = 30

export async function measure(): Promise<Figure[]> {
  const cgroup = new ScopeCgroup()
  try {
    const up = await startHalf([
      'up', '--quiet', '--data', temporaryFolder(), '--listen', '127.0.0.1:0',
      '--listen-http', '127.0.0.1:0', '--agent-listen-http', '127.0.0.1:0',
      '--scope-cgroup', `/${cgroup.path.split('/').at(-1)}`,
    ], /Metrics/)
    await sleep(secondsBefore * 1000)
    const before = { cpu: cpuSecondsOf(up.pid), resident: residentOf(up.pid).now }
    await sleep(seconds * 1000)
    const cpu = (cpuSecondsOf(up.pid) - before.cpu) / seconds * 100
    const resident = residentOf(up.pid).now
    await up.stop()
    return [
      { name: 'up, CPU', value: cpu, unit: '% of a core', below: 1, note: `over ${seconds} s` },
      { name: 'up, resident', value: resident, unit: 'MiB',
        note: `${seconds} s before: ${before.resident.toFixed(0)} MiB` },
    ]
  } finally {
    await cgroup.remove()
  }
}
