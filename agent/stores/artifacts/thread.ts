// The thread that reads artifacts: one file at a time, behind everything else that wants the CPU.

import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { basename } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { Hasher } from './hasher.ts'
import type { ArtifactBudget, ArtifactJob } from './jobs.ts'

const niceness = 19
const port = parentPort!
const hasher = new Hasher({
  ...workerData as ArtifactBudget & { nodeRoots: string[] },
  progress: () => port.postMessage(null),
})

try {
  // Linux has a priority for every thread; this link names the one that follows it.
  setPriority(Number(basename(readlinkSync('/proc/thread-self'))), niceness)
} catch {
  // Without /proc it is as important as the rest.
}

let turn: Promise<void> = Promise.resolve()
port.on('message', (job: ArtifactJob) => {
  turn = turn.then(async () => port.postMessage(await hasher.examine(job)))
})
