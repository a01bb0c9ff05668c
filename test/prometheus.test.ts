// deploy/prometheus: the rules fire when they should, and ask for metrics that are there.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const folder = join(root, 'deploy/prometheus')
const there = spawnSync('promtool', ['--version'], { stdio: 'ignore' }).status === 0
if (!there) process.stderr.write('SKIPPED: promtool is not installed: the Prometheus rules are not tested\n')

const run = (command: string, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder })
  return { status, text: `${stdout}${stderr}` }
}

describe('the Prometheus files', () => {
  it.skipIf(!there)('are accepted by promtool and amtool', () => {
    for (const args of [['rules', 'vedette.rules.yaml'], ['config', 'prometheus.example.yaml']]) {
      const { status, text } = run('promtool', 'check', ...args)
      expect(`${status} ${text}`).toMatch(/^0 /)
    }
    expect(run('amtool', 'check-config', 'alertmanager.example.yaml').status).toBe(0)
  })

  it.skipIf(!there)('fire in trouble and stay quiet without', () => {
    const { status, text } = run('promtool', 'test', 'rules', 'vedette.rules.test.yaml')
    expect(`${status} ${text}`).toMatch(/^0 .*SUCCESS/s)
  })

  it('name only metrics that agent or correlator have', () => {
    const sources = ['agent', 'correlator'].flatMap((half) => readdirSync(join(root, half), { recursive: true })
      .map(String).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => readFileSync(join(root, half, name), 'utf8'))).join('\n')
    const rules = readFileSync(join(folder, 'vedette.rules.yaml'), 'utf8')
    const named = new Set([...rules.matchAll(/\bvedette_[a-z_]+/g)].map(([name]) => name))
    expect(named.size).toBeGreaterThan(10)
    expect([...named].filter((name) => !sources.includes(`'${name}'`))).toEqual([])
  })

  it('test every rule that they hold', () => {
    const rules = readFileSync(join(folder, 'vedette.rules.yaml'), 'utf8')
    const tests = readFileSync(join(folder, 'vedette.rules.test.yaml'), 'utf8')
    const names = [...rules.matchAll(/alert: (\w+)/g)].map(([, name]) => name)
    expect(names.filter((name) => !tests.includes(`alertname: ${name},`))).toEqual([])
  })
})
