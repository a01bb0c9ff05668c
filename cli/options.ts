/**
 * The one place where settings get their values: flags before `VEDETTE_*` before the file named by
 * `--config` before defaults.
 */
import { readFileSync } from 'node:fs'
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { LineCounter, parseDocument } from 'yaml'
import { suggest } from '../policy/read/suggest.ts'
import { CliError } from './errors.ts'
import { SETTINGS } from './settings.ts'
import type { Setting, SettingName, Values } from './settings.ts'

const NAMES = Object.keys(SETTINGS) as SettingName[]
const UNIT_BYTES: Record<string, number> = {
  '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4,
}

/** What one command changes about a setting: another meaning or default. */
export type Changes = Partial<Record<SettingName, Pick<Setting, 'help' | 'default' | 'shown'>
  | Partial<Setting>>>

/** Gives a command its flags, with their environment variables and defaults. */
export function addSettings(
  command: Command, names: readonly SettingName[], changes: Changes = {},
): void {
  for (const name of names) {
    const setting: Setting = { ...SETTINGS[name], ...changes[name] }
    command.addOption(optionOf(name, setting))
  }
}

/**
 * The values of a command that was parsed, the configuration file included. Throws CliError
 * CLI_CONFIG when that file cannot be read or has a wrong key or value.
 */
export function valuesOf(command: Command, names: readonly SettingName[]): Values {
  const flags = command.opts<Record<string, unknown>>()
  for (const name of names) applySwitch(command, name)
  const file = flags['config']
  if (typeof file === 'string') applyFile(command, file, names)
  const values: Record<string, unknown> = {}
  for (const name of names) values[name] = givenTo(command, attributeOf(name))
  return values as Values
}

/** A switch from the environment: 1 or true, 0 or false. */
function applySwitch(command: Command, name: SettingName): void {
  const setting: Setting = SETTINGS[name]
  const text = process.env[variableOf(name)]
  if (setting.kind !== 'switch' || setting.callOnly || text === undefined) return
  if (command.getOptionValueSource(attributeOf(name)) === 'cli') return
  if (!/^(1|0|true|false)$/.test(text)) {
    throw new CliError('CLI_USAGE',
      `${variableOf(name)} is ${JSON.stringify(text)}; write 1 or 0, true or false`)
  }
  command.setOptionValueWithSource(attributeOf(name), text === '1' || text === 'true', 'env')
}

/** `incidents --data DIR show ID` means the same as `incidents show ID --data DIR`. */
function givenTo(command: Command, attribute: string): unknown {
  const { parent } = command
  const own = command.getOptionValueSource(attribute)
  const isParents = own !== 'cli' && parent?.getOptionValueSource(attribute) === 'cli'
  return (isParents ? parent : command).getOptionValue(attribute) as unknown
}

function optionOf(name: SettingName, setting: Setting): Option {
  const flag = `--${name.replaceAll('_', '-')}`
  const short = name === 'output' ? '-o, ' : name === 'follow' ? '-f, ' : ''
  const option = new Option(
    setting.value ? `${short}${flag} <${setting.value}>` : `${short}${flag}`,
    setting.shown ? `${setting.help} (default: ${setting.shown})` : setting.help)
  if (setting.choices) option.choices([...setting.choices])
  else if (setting.kind !== 'switch') option.argParser(parserOf(setting.kind))
  if (setting.default !== undefined) {
    option.default(setting.kind === 'count' ? Number(setting.default) : setting.default)
  }
  if (setting.callOnly) return option
  option.helpGroup('Settings:')
  // commander would take VEDETTE_QUIET=0 for yes.
  if (setting.kind === 'switch') option.description += ` (env: ${variableOf(name)})`
  else option.env(variableOf(name))
  return option
}

/** Environment variable of a setting. */
export function variableOf(name: SettingName): string {
  return `VEDETTE_${name.toUpperCase()}`
}

// commander keeps values under the camelCase of the flag.
function attributeOf(name: SettingName): string {
  return name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function parserOf(kind: Setting['kind']): (text: string, before: unknown) => unknown {
  switch (kind) {
    case 'count': return parseCount
    case 'bytes': return parseBytes
    case 'list': return (text, before) => [
      ...(Array.isArray(before) ? before as string[] : []),
      ...text.split(',').map((part) => part.trim()).filter((part) => part !== ''),
    ]
    default: return (text) => {
      if (text === '') throw new InvalidArgumentError('It is empty.')
      return text
    }
  }
}

function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Write a whole number.')
  return Number(text)
}

/** `4096`, `64KiB`, `64k`, `16MiB`, `8GiB`: powers of 1024. Throws commander's error otherwise. */
export function parseBytes(text: string): number {
  const match = /^(\d{1,15})\s?(?:([kmgt])(?:i?b)?|b)?$/i.exec(text)
  const bytes = match === null ? NaN : Number(match[1]) * UNIT_BYTES[(match[2] ?? '').toLowerCase()]
  if (!Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError('Write bytes, or a number with KiB, MiB, GiB or TiB.')
  }
  return bytes
}

/** Values of the file for every setting that neither a flag nor the environment has set. */
function applyFile(command: Command, file: string, names: readonly SettingName[]): void {
  for (const [name, { value, at }] of entriesOf(file, command.name())) {
    const attribute = attributeOf(name)
    const source = command.getOptionValueSource(attribute)
    if (!names.includes(name) || source === 'cli' || source === 'env') continue
    command.setOptionValueWithSource(attribute, readValue(name, value, `${file}:${at}`), 'config')
  }
}

interface FileEntry { value: unknown, at: string }

/**
 * The settings of a file for one command: those at the top, then those of the section with its
 * name, which win. `at` is line:column.
 */
function entriesOf(file: string, section: string): Map<SettingName, FileEntry> {
  const lines = new LineCounter()
  const document = parseDocument(readText(file), { lineCounter: lines, prettyErrors: false })
  const place = (offset: number | undefined): string => {
    const { line, col } = lines.linePos(offset ?? 0)
    return `${line}:${col}`
  }
  const [broken] = document.errors
  if (broken) throw wrong(file, place(broken.pos[0]), broken.message)
  const found = new Map<SettingName, FileEntry>()
  const visit = (node: unknown, inSection: boolean): void => {
    for (const pair of pairsOf(node)) {
      const at = place(pair.key.range?.[0])
      const name = String(pair.key.value)
      const nested = pairsOf(pair.value)
      if (!inSection && nested.length > 0) {
        if (name === section) visit(pair.value, true)
      } else if (!isSetting(name)) {
        const near = suggest(name, NAMES)
        throw wrong(file, at, `there is no setting ${JSON.stringify(name)}` +
          (near === null ? '' : `; did you mean ${near}?`))
      } else if (inSection || !found.has(name)) {
        found.set(name, { value: pair.value?.toJSON?.() ?? null, at })
      }
    }
  }
  const root = document.contents
  if (root !== null && pairsOf(root).length === 0) throw wrong(file, '1:1', 'settings are expected')
  visit(root, false)
  return found
}

interface YamlPair {
  key: { value: unknown, range?: [number, number, number] | null }
  value: { items?: unknown[], toJSON?: () => unknown } | null
}

function pairsOf(node: unknown): YamlPair[] {
  const { items } = (node ?? {}) as { items?: unknown[] }
  const isPair = (item: unknown): item is YamlPair =>
    typeof item === 'object' && item !== null && 'key' in item && 'value' in item &&
    typeof item.key === 'object'
  return Array.isArray(items) ? items.filter(isPair) : []
}

function isSetting(name: string): name is SettingName {
  return NAMES.includes(name as SettingName) && name !== 'config' &&
    !('callOnly' in SETTINGS[name as SettingName])
}

function readValue(name: SettingName, value: unknown, at: string): unknown {
  const setting: Setting = SETTINGS[name]
  if (setting.kind === 'switch') {
    if (typeof value === 'boolean') return value
    throw wrong(at, '', `${name} must be true or false`)
  }
  const texts = (Array.isArray(value) ? value : [value]).map((part: unknown) =>
    typeof part === 'string' || typeof part === 'number' ? String(part) : null)
  if (texts.includes(null) || (texts.length !== 1 && setting.kind !== 'list')) {
    const form = setting.kind === 'list' ? 'a list of texts' : 'one value'
    throw wrong(at, '', `${name} must be ${form}`)
  }
  if (setting.choices && !setting.choices.includes(texts[0]!)) {
    throw wrong(at, '', `${name} must be one of ${setting.choices.join(', ')}`)
  }
  try {
    const parse = parserOf(setting.kind)
    return texts.reduce<unknown>((before, text) => parse(text!, before), undefined)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw wrong(at, '', `${name} is ${JSON.stringify(texts[0])}: ${error.message.slice(0, -1)}`)
  }
}

function wrong(file: string, at: string, what: string): CliError {
  return new CliError('CLI_CONFIG', `${file}${at === '' ? '' : `:${at}`}: ${what}`)
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const what = `the configuration file ${file} cannot be read (${code})`
    throw new CliError('CLI_CONFIG', what, error)
  }
}
