// Every drill, as a user does it: from its processes over the kernel to the incident.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Drill } from '../../drills/drill.ts'
import { drills } from '../../drills/list.ts'
import { hasGpu } from '../../drills/firmware-drift.ts'
import { harmlessModule } from '../../drills/module-load.ts'
import { POLICY_WITH_STORES } from '../../drills/store-folder.ts'
import type { Incident } from '../../detect/incident.ts'
import { jsonLines } from '../command-line.ts'
import type { Running } from '../command-line.ts'
import { StandIn, whyNoStandIn } from '../gpu/stand-in.ts'
import { STAND_IN_VERSIONS } from '../vm/stand-in.ts'
import { emulated, runAgain, startUp, waitMs } from './emulated-node.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { whyBlind, whyNot } from './watch.ts'

const netdev = 'vdrill0'

/** Soft-RoCE, where the kernel has it. */
function whyNoRdma(): string {
  if (spawnSync('modprobe', ['-a', 'rdma_rxe', 'ib_uverbs', 'dummy']).status !== 0) {
    return 'this kernel has no rdma_rxe'
  }
  if (spawnSync('which', ['ibv_rc_pingpong']).status !== 0) return 'no ibv_rc_pingpong'
  execFileSync('ip', ['link', 'add', netdev, 'type', 'dummy'])
  execFileSync('ip', ['address', 'add', '10.66.7.1/24', 'dev', netdev])
  execFileSync('ip', ['link', 'set', netdev, 'up'])
  execFileSync('rdma', ['link', 'add', 'vrxe7', 'type', 'rxe', 'netdev', netdev])
  return ''
}

function whyNoModule(): string {
  try {
    harmlessModule()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

const reason = whyNot()
const noRdma = reason || whyNoRdma()
const [, driverVersion] = STAND_IN_VERSIONS
const noDriver = reason || whyNoStandIn(driverVersion)
/** There only what needs its kernel: Node takes half a minute to load both halves. */
const ofTheRig = ['rdma-peer', 'module-load', 'gpu-probe']
const gpuDevice = '/dev/nvidiactl'
/** Why a drill cannot raise its incident on this kernel; '' when it can. */
const hindrances: Record<string, string> = {
  'rdma-peer': noRdma || whyBlind('rdma_connection'),
  'reverse-shell': reason || whyBlind('process_stdio'),
  'module-load': reason || whyNoModule() || whyBlind('kernel_module'),
  'firmware-drift': reason || (hasGpu('/') ? '' : 'no GPU; drills/firmware-drift.test.ts does it on a stand-in node'),
  'gpu-probe': noDriver || whyBlind('gpu_call'),
}
if (emulated) for (const { name } of drills) if (!ofTheRig.includes(name)) hindrances[name] = 'done on the live kernel'
for (const [name, why] of Object.entries(hindrances)) {
  if (why) process.stderr.write(`!! SKIPPED: the drill ${name}: ${why}\n`)
}
/** With a store that is nowhere: so those of drills are watched, too. */
const policyWithStores = `version: 1
stores: [{ name: elsewhere, kind: dataset, sensitivity: internal, paths: [/nowhere/at/all] }]
`
const watched = drills.filter(({ name }) => !hindrances[name])

function ofStores({ needs }: Drill): boolean {
  return needs.includes(POLICY_WITH_STORES)
}

describe.skipIf(reason)(`drills ${reason}`, () => {
  let cgroup: ScopeCgroup
  let data: string
  const ups: Running[] = []
  /** Where incidents are read: without a policy, and with one that has a store. */
  const servers = { learning: '', stores: '' }
  let driver: StandIn | undefined

  beforeAll(async () => {
    if (!noDriver) {
      driver = new StandIn(driverVersion)
      execFileSync('mknod', ['-m', '666', gpuDevice, 'c', '195', '255'])
    }
    cgroup = new ScopeCgroup()
    data = mkdtempSync(join(tmpdir(), 'vedette-drills-'))
    const policy = join(data, 'policy.yaml')
    writeFileSync(policy, policyWithStores)
    if (watched.some((one) => !ofStores(one))) servers.learning = await start('learning')
    if (watched.some(ofStores)) servers.stores = await start('stores', '--policy', policy)
  // Later than the wait for it, which tells what was printed.
  }, waitMs + 30_000)
  afterAll(async () => {
    for (const up of ups) await up.stop('SIGKILL')
    await cgroup?.remove()
    if (data) rmSync(data, { recursive: true, force: true })
    if (driver) {
      rmSync(gpuDevice)
      driver.unload()
    }
    if (noRdma) return
    execFileSync('rdma', ['link', 'delete', 'vrxe7'])
    execFileSync('ip', ['link', 'delete', netdev])
  })

  async function start(name: string, ...words: string[]): Promise<string> {
    const { up, server } = await startUp(['--quiet', '--data', join(data, name),
      '--scope-cgroup', `/${basename(cgroup.path)}`, ...words], { cwd: data })
    ups.push(up)
    return server
  }

  for (const drill of drills) {
    const { name, raises } = drill
    it.skipIf(hindrances[name])(`${name} raises ${raises} while the policy only learns`, async () => {
      const server = ofStores(drill) ? servers.stores : servers.learning
      const { code, stdout, stderr } = await runAgain(
        ['drill', name, '-o', 'json', '--wait', '60', '--server', server], { cgroup: cgroup.path })
      expect(stderr).toContain('raised: incident')
      expect(code).toBe(0)
      const { findings } = jsonLines(stdout)[0] as unknown as Incident
      expect(findings.map(({ detector }) => detector)).toContain(raises)
    }, 2 * waitMs)
  }
})
