import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { factsOfJob, Slurm } from './slurm.ts'
import type { WorkloadFacts } from './workloads.ts'

/** As Slurm 22.05 prints it, on one line. */
const shown = 'JobId=4711 JobName=train large model UserId=alice(1001) GroupId=users(100) MCS_label=N/A ' +
  'Priority=4294901757 Account=ml QOS=normal JobState=RUNNING Partition=gpu AllocNode:Sid=login:1 NodeList=gpu-07'

let folder: string
let told: [string, WorkloadFacts][]
let slurm: Slurm | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vedette-slurm-'))
  told = []
})
afterEach(() => {
  slurm?.stop()
  rmSync(folder, { recursive: true })
})

/** A program that stands where scontrol does, and notes how it was called. */
function program(script: string): string {
  const file = join(folder, 'scontrol')
  writeFileSync(file, `#!/bin/sh\necho "$@" >> ${folder}/calls\n${script}\n`)
  chmodSync(file, 0o755)
  return file
}

function process(pid: number, lines: string[]): void {
  mkdirSync(join(folder, String(pid)))
  writeFileSync(join(folder, String(pid), 'environ'), lines.map((line) => `${line}\0`).join(''))
}

function start(scontrol: string): Slurm {
  slurm = new Slurm({ facts: (job, facts) => { told.push([job, facts]) }, scontrol, procDir: folder, intervalMs: 1 })
  return slurm
}

const facts = { slurm_job: '4711', slurm_job_name: 'train large model', slurm_partition: 'gpu', slurm_user: 'alice' }

describe('the facts of a Slurm job', () => {
  it('are read from the line of scontrol, a name with blanks too', () => {
    expect(factsOfJob(shown)).toEqual({ ...facts, facts_source: 'slurm' })
    expect(factsOfJob('slurm_load_jobs error: Invalid job id specified')).toBeUndefined()
  })

  it('come from scontrol where it is, asked once per job', async () => {
    const asked = start(program(`echo '${shown}'`))
    asked.ask('4711', [])
    asked.ask('4711', [])
    await vi.waitFor(() => expect(told).toEqual([['4711', { ...facts, facts_source: 'slurm' }]]), 5000)
    expect(readFileSync(join(folder, 'calls'), 'utf8')).toBe('-o show job 4711\n')
  })

  it('come from the environment of the job otherwise, which is said', async () => {
    process(50, ['HOME=/root', 'SECRET=x'])
    process(51, ['AWS_SECRET=x', 'SLURM_JOB_ID=4711', 'SLURM_JOB_PARTITION=gpu', 'SLURM_JOB_USER=alice',
      'SLURM_JOB_NAME=train large model'])
    start('').ask('4711', [50, 51])
    await vi.waitFor(() => expect(told).toEqual([['4711', { ...facts, facts_source: 'environment' }]]), 5000)
  })

  it('are found for a SLUID through the number in the environment', async () => {
    process(51, ['SLURM_JOB_ID=4711'])
    start(program(`echo '${shown}'`)).ask('sEKNKTV3WPV500', [51])
    await vi.waitFor(() => expect(told).toEqual([['sEKNKTV3WPV500', { ...facts, facts_source: 'slurm' }]]), 5000)
  })

  it('that nobody knows are counted as missed', async () => {
    const asked = start(program('exit 1'))
    asked.ask('4711', [99])
    await vi.waitFor(() => expect(asked.misses).toBe(1), 5000)
    expect(told).toEqual([])
  })

  it('never make a path or an option of what a cgroup is called', async () => {
    const asked = start(program(`echo '${shown}'`))
    process(51, ['SLURM_JOB_ID=1; rm -rf /'])
    asked.ask('s--help; reboot0', [51])
    await vi.waitFor(() => expect(asked.misses).toBe(1), 5000)
    expect(() => readFileSync(join(folder, 'calls'))).toThrow()
  })

  it('wait in a queue that is bounded', () => {
    const asked = start('')
    for (let job = 0; job < 300; job++) asked.ask(`${job}`, [])
    expect(asked.misses).toBe(300 - 256)
  })
})

describe('the partitions of a node', () => {
  it('are those that scontrol names', async () => {
    const asked = start(program('echo "NodeName=gpu-07 Arch=x86_64 Partitions=gpu,debug BootTime=x"'))
    expect(await asked.partitionsOf('gpu-07')).toEqual(['gpu', 'debug'])
  })

  it('are none where there is no Slurm', async () => {
    expect(await start('').partitionsOf('gpu-07')).toEqual([])
  })
})
