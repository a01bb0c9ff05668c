// A driver of GPUs that is replaced under a whole Vedette: from the kernel to the incident.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Incident } from '../../detect/incident.ts'
import { gspImage } from '../../gpu/sample/gsp-image.ts'
import { jsonLines } from '../command-line.ts'
import type { Running } from '../command-line.ts'
import { StandIn, whyNoStandIn } from '../gpu/stand-in.ts'
import { STAND_IN_VERSIONS, standInPath } from '../vm/stand-in.ts'
import { runAgain, startUp, waitMs } from './emulated-node.ts'
import { callScript } from './gpu-watch.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import { whyBlind, whyNot } from './watch.ts'

const [oldVersion, version] = STAND_IN_VERSIONS
const reason = whyNot() || whyNoStandIn(version) || whyBlind('kernel_module')
if (reason) process.stderr.write(`!! SKIPPED: a driver of GPUs that is replaced: ${reason}\n`)

const firmware = '/lib/firmware/nvidia'
const device = '/dev/nvidiactl'

describe.skipIf(reason)(`a driver of GPUs that is replaced ${reason}`, () => {
  let cgroup: ScopeCgroup
  let data: string
  let up: Running
  let driver: StandIn

  beforeAll(async () => {
    for (const one of STAND_IN_VERSIONS) {
      mkdirSync(join(firmware, one), { recursive: true })
      writeFileSync(join(firmware, one, 'gsp_ga10x.bin'), gspImage(one))
    }
    driver = new StandIn(version)
    // Where nvidia-modprobe makes it: a node elsewhere would be an incident of its own.
    execFileSync('mknod', ['-m', '666', device, 'c', '195', '255'])
    cgroup = new ScopeCgroup()
    data = mkdtempSync(join(tmpdir(), 'vedette-replaced-'))
    const words = ['--data', data, '--scope-cgroup', `/${basename(cgroup.path)}`]
    up = (await startUp(words, { cwd: data })).up
  }, waitMs + 30_000)
  afterAll(async () => {
    await up.stop('SIGKILL')
    await cgroup.remove()
    driver.unload()
    rmSync(device, { force: true })
    rmSync(data, { recursive: true })
    for (const one of STAND_IN_VERSIONS) rmSync(join(firmware, one), { recursive: true })
  })

  it('is one incident that names who did it, and nothing before it is one', async () => {
    const query = `${callScript} device("${device}");
      control(1, 1, 0x2080012f, "x" x 8) for 1 .. 100;`
    const programs = [1, 2].map(() => cgroup.start('perl', '-e', query))
    for (const program of programs) expect((await program.ended()).code).toBe(0)
    driver.xid('13, Graphics Exception')
    await up.until('the calls of two processes', ({ stdout }) =>
      programs.every(({ pid }) => new RegExp(`\\b${pid}\\b.*gpu_call|gpu_call.*\\b${pid}\\b`).test(stdout))
        ? true : undefined)

    const other = realpathSync(standInPath(release(), oldVersion))
    const intruder = cgroup.start('sh', '-c', 'rmmod nvidia && insmod "$0"; sleep 1', other)
    expect((await intruder.ended()).code).toBe(0)
    await up.until('the drift of the driver', ({ stdout }) =>
      /GPU-001|driver.*570\.211\.01 .*535\.288\.01/.test(stdout) ? true : undefined)
    await up.stop()

    const { stdout } = await runAgain(['incidents', '--data', data, '-o', 'json'])
    const incidents = jsonLines(stdout) as unknown as Incident[]
    expect(incidents).toHaveLength(1)
    const [incident] = incidents
    const detectors = new Set(incident.findings.map(({ detector }) => detector))
    expect(detectors).toEqual(new Set(['GPU-001', 'GPU-007']))
    const drift = incident.findings.find(({ detector }) => detector === 'GPU-001')!
    expect(drift.summary).toContain(version)
    expect(drift.summary).toContain(oldVersion)
    expect(drift.summary).toMatch(/kmod \(pid \d+, uid 0\) did kernel_module load nvidia/)
  }, 3 * waitMs)
})
