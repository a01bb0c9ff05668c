// The systemd units: accepted by systemd, shut in as far as they can be, and in step with the code.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { spec as agentCommand } from '../cli/agent.ts'
import { spec as correlatorCommand } from '../cli/correlator.ts'

const folder = join(import.meta.dirname, '../deploy/systemd')
const reason = offlineSecurity() ? '' : 'needs systemd-analyze of systemd 250 or newer'
if (reason) process.stderr.write(`!! SKIPPED: systemd units by systemd-analyze: ${reason}\n`)

/** Exposure as systemd counts it, in tenths: 0 is none, 100 is an unlimited root service. */
const exposureMax = { agent: 28, correlator: 15 }
const commands = { agent: agentCommand, correlator: correlatorCommand }
const names = ['agent', 'correlator'] as const

function offlineSecurity(): boolean {
  const { status, stdout } = spawnSync('systemd-analyze', ['--help'], { encoding: 'utf8' })
  return status === 0 && stdout.includes('--offline')
}

const unitText = (name: string): string => readFileSync(join(folder, `vedette-${name}.service`), 'utf8')

/** Values of a key, of every line that has it. */
function valuesOf(text: string, key: string): string[] {
  return text.split('\n').filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1))
}

/** systemd looks whether the program is there; that of these units is where it is installed. */
function analyze(name: string, args: (unit: string) => string[]): { status: number | null, text: string } {
  const scratch = mkdtempSync(join(tmpdir(), 'vedette-systemd-'))
  try {
    const unit = join(scratch, `vedette-${name}.service`)
    writeFileSync(unit, unitText(name).replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'))
    const { status, stdout, stderr } = spawnSync('systemd-analyze', args(unit), { encoding: 'utf8' })
    return { status, text: stdout + stderr }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

describe.skipIf(reason)(`the units, by systemd ${reason}`, () => {
  it.each(names)('%s is accepted without a remark', (name) => {
    expect(analyze(name, (unit) => ['verify', unit])).toEqual({ status: 0, text: '' })
  })

  it.each(names)('%s is not more exposed than it must be', (name) => {
    const { status, text } = analyze(name, (unit) => ['security', '--offline=true', '--no-pager',
      `--threshold=${exposureMax[name]}`, unit])
    expect(status, text.split('\n').filter((line) => line.includes('✗')).join('\n')).toBe(0)
  })

  it('notices a unit that is open', () => {
    const open = unitText('agent').replace(/^(Protect|Private|Restrict|SystemCall|Capability).*\n/gm, '')
    const scratch = mkdtempSync(join(tmpdir(), 'vedette-systemd-'))
    try {
      const unit = join(scratch, 'open.service')
      writeFileSync(unit, open)
      expect(() => execFileSync('systemd-analyze', ['security', '--offline=true', '--no-pager',
        `--threshold=${exposureMax.agent}`, unit], { stdio: 'pipe' })).toThrow()
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  })
})

describe('the units', () => {
  it.each(names)('%s starts its command with settings that it knows', (name) => {
    const [line] = valuesOf(unitText(name), 'ExecStart')
    const [, , command, ...flags] = line.split(' ')
    expect(command).toBe(name)
    const known: readonly string[] = commands[name].settings
    const settings = flags.map((flag) => flag.replace(/^--|=.*$/g, '').replaceAll('-', '_'))
    const named = [...unitText(name).matchAll(/VEDETTE_([A-Z_]+)/g)].map(([, one]) => one.toLowerCase())
    expect([...settings, ...named].filter((setting) => !known.includes(setting))).toEqual([])
  })

  it('gives the agent the capabilities that Kubernetes gives, one for the kernel log, and the correlator none', () => {
    const manifest = parse(readFileSync(join(folder, '../kubernetes/base/agent.yaml'), 'utf8'))
    const { add } = manifest.spec.template.spec.containers[0].securityContext.capabilities
    // A container that is not privileged cannot be given the device of the log.
    const wanted = [...add as string[], 'SYSLOG'].map((name) => `CAP_${name}`).join(' ')
    for (const key of ['AmbientCapabilities', 'CapabilityBoundingSet']) {
      expect(valuesOf(unitText('agent'), key)).toEqual([wanted])
      expect(valuesOf(unitText('correlator'), key)).toEqual([''])
    }
  })

  it.each(names)('%s writes only to its own folder, which nobody else reads', (name) => {
    const text = unitText(name)
    expect(valuesOf(text, 'ProtectSystem')).toEqual(['strict'])
    expect(valuesOf(text, 'StateDirectory')).toEqual([`vedette/${name}`])
    expect(valuesOf(text, 'StateDirectoryMode')).toEqual(['0700'])
    expect(valuesOf(text, 'ReadWritePaths')).toEqual([])
    expect(valuesOf(text, 'User')).toEqual(['vedette'])
  })
})
