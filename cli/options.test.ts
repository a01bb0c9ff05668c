import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CliError } from './errors.ts'
import { addSettings, parseBytes, valuesOf, variableOf } from './options.ts'
import type { SettingName, Values } from './settings.ts'

const NAMES: SettingName[] = ['server', 'ring_bytes', 'sockets_max', 'alertmanager', 'quiet',
  'listen_http', 'output', 'config', 'limit']
const touched = NAMES.map(variableOf)

let dir = ''
beforeAll(() => { dir = mkdtempSync(join(tmpdir(), 'vedette-options-')) })
afterAll(() => rmSync(dir, { recursive: true }))
afterEach(() => { for (const name of touched) delete process.env[name] })

function values(words: string[], environment: Record<string, string> = {}, name = 'agent'): Values {
  Object.assign(process.env, environment)
  const command = new Command(name).exitOverride().configureOutput({ writeErr: () => {} })
  addSettings(command, NAMES)
  command.parse(words, { from: 'user' })
  return valuesOf(command, NAMES)
}

function file(text: string): string {
  const path = join(dir, 'config.yaml')
  writeFileSync(path, text)
  return path
}

function refusal(words: string[], environment: Record<string, string> = {}): string {
  try {
    values(words, environment)
  } catch (error) {
    if (error instanceof CliError || error instanceof CommanderError) return error.message
    throw error
  }
  throw new Error('was not refused')
}

describe('settings', () => {
  it('come from flags before the environment before the file before defaults', () => {
    const config = file('server: from-file:1\nsockets_max: 7\nring_bytes: 1MiB\n')
    expect(values([]).server).toBe('127.0.0.1:7411')
    expect(values(['--config', config])).toMatchObject({ server: 'from-file:1', sockets_max: 7 })
    const environment = { VEDETTE_SERVER: 'from-env:1', VEDETTE_CONFIG: config }
    expect(values([], environment)).toMatchObject({ server: 'from-env:1', ring_bytes: 1024 ** 2 })
    expect(values(['--server', 'from-flag:1'], environment).server).toBe('from-flag:1')
  })

  it('are the same in every way to write them', () => {
    const wanted = { sockets_max: 5, ring_bytes: 65_536, alertmanager: ['http://a', 'http://b'],
      quiet: true }
    expect(values(['--sockets-max', '5', '--ring-bytes', '64KiB', '--quiet', '--alertmanager',
      'http://a', 'http://b'])).toMatchObject(wanted)
    expect(values([], { VEDETTE_SOCKETS_MAX: '5', VEDETTE_RING_BYTES: '64k', VEDETTE_QUIET: '1',
      VEDETTE_ALERTMANAGER: 'http://a, http://b' })).toMatchObject(wanted)
    for (const name of touched) delete process.env[name]
    expect(values(['--config', file(
      'sockets_max: 5\nring_bytes: 65536\nquiet: true\nalertmanager: [http://a, http://b]\n',
    )])).toMatchObject(wanted)
  })

  it('of a section are for that command only, and win over the top', () => {
    const config = file('listen_http: a:1\nagent:\n  listen_http: b:2\ncorrelator:\n' +
      '  listen_http: c:3\n')
    expect(values(['--config', config]).listen_http).toBe('b:2')
    expect(values(['--config', config], {}, 'correlator').listen_http).toBe('c:3')
    expect(values(['--config', config], {}, 'up').listen_http).toBe('a:1')
  })

  it('that belong to another command are no mistake', () => {
    expect(values(['--config', file('cluster: prod\n')]).server).toBe('127.0.0.1:7411')
  })

  it('that are switches can be turned off by the environment as well', () => {
    expect(values([], { VEDETTE_QUIET: '0' }).quiet).toBe(false)
    expect(values(['--quiet'], { VEDETTE_QUIET: '0' }).quiet).toBe(true)
    expect(values(['--config', file('quiet: true\n')], { VEDETTE_QUIET: 'false' }).quiet).toBe(false)
  })

  it('stay undefined where nobody set them, so that the halves know their defaults', () => {
    expect(values([]).sockets_max).toBeUndefined()
    expect(values(['--config', file('# nothing yet\n')]).sockets_max).toBeUndefined()
  })
})

describe('wrong settings', () => {
  it('in a file are named with line, column and a suggestion', () => {
    expect(refusal(['--config', file('a: 1\n')])).toContain('config.yaml:1:1: there is no setting "a"')
    expect(refusal(['--config', file('server: a:1\nsocket_max: 1\n')]))
      .toContain('config.yaml:2:1: there is no setting "socket_max"; did you mean sockets_max?')
    expect(refusal(['--config', file('sockets_max: many\n')])).toContain('sockets_max is "many"')
    expect(refusal(['--config', file('quiet: 5\n')])).toContain('quiet must be true or false')
    expect(refusal(['--config', file('output: xml\n')])).toContain('text, json')
    expect(refusal(['--config', file('server: [a, b]\n')])).toContain('one value')
    expect(refusal(['--config', file('limit: 5\n')])).toContain('there is no setting "limit"')
    expect(refusal(['--config', file('a: [\n')])).toContain('config.yaml:2:1')
    expect(refusal(['--config', file('just text\n')])).toContain('settings are expected')
    expect(refusal(['--config', join(dir, 'nowhere')])).toContain('ENOENT')
  })

  it('on the command line and in the environment are named with what to write', () => {
    expect(refusal(['--sockets-max', '-1'])).toContain('Write a whole number')
    expect(refusal(['--ring-bytes', '5 elephants'])).toContain('KiB')
    expect(refusal(['--output', 'xml'])).toContain('text, json')
    expect(refusal(['--serve', 'a:1'])).toContain('--server')
    expect(refusal([], { VEDETTE_QUIET: 'perhaps' })).toContain('write 1 or 0')
    delete process.env['VEDETTE_QUIET']
    expect(refusal([], { VEDETTE_SOCKETS_MAX: 'x' })).toContain('VEDETTE_SOCKETS_MAX')
  })
})

describe('bytes', () => {
  it('take powers of 1024', () => {
    expect(['0', '512', '4k', '4KB', '16MiB', '8 GiB', '1t', '5b'].map(parseBytes)).toEqual(
      [0, 512, 4096, 4096, 16 * 1024 ** 2, 8 * 1024 ** 3, 1024 ** 4, 5])
    for (const text of ['', 'k', '-1', '1.5M', '1e3', '99999999999999t', '1KiBx']) {
      expect(() => parseBytes(text), text).toThrow()
    }
  })
})
