/** The facts of a finding as lines: processes with their ancestry, rules to be copied, amounts. */
import type { Json } from '../../detect/finding.ts'
import { tone } from '../output.ts'
import { printable, shellWord } from './printable.ts'
import { wrap } from './table.ts'
import { formatBytes, formatCount } from './time.ts'

type JsonObject = { [key: string]: Json }

const INDENT_COLUMNS = 4
const LABEL_COLUMNS = 19
const PROCESS_LABEL_COLUMNS = 9
const ANCESTOR_LINES_MAX = 4
/** What a reader asks first comes first; the rest follows by name. */
const ORDER = ['from_zone', 'to_zone', 'client', 'server', 'protocol', 'established', 'bytes_sent',
  'bytes_received', 'process', 'accepting_process', 'missing_rule']

/** All facts by name, in the order in which a reader wants them. */
export function factLines(facts: JsonObject, width: number): string[] {
  const rank = (name: string): number => {
    const place = ORDER.indexOf(name)
    return place < 0 ? ORDER.length : place
  }
  return Object.entries(facts)
    .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .flatMap(([name, value]) => oneFact(name, value, width))
}

/** RFC 3339 to the millisecond: what a screen needs of it. */
export function shortTime(time: string): string {
  return time.replace(/(\.\d{3})\d*Z$/, '$1Z')
}

function oneFact(name: string, value: Json, width: number): string[] {
  if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return []
  const room = width - INDENT_COLUMNS - LABEL_COLUMNS
  const label = name.replaceAll('_', ' ').replace(/ (ms|bytes)$/, '')
  return valueLines(name, value, room).map((line, i) => ' '.repeat(INDENT_COLUMNS) +
    tone('faint', (i === 0 ? label : '').padEnd(LABEL_COLUMNS)) + line)
}

function valueLines(name: string, value: Json, width: number): string[] {
  // Lines to be copied, such as a rule for the policy, stay as they are.
  if (typeof value === 'string' && value.includes('\n')) {
    return value.trimEnd().split('\n').map(printable)
  }
  if (isObject(value) && 'pid' in value) return processLines(value, width)
  if (Array.isArray(value)) return value.flatMap((part) => wrap(valueText(name, part), width))
  return wrap(valueText(name, value), width)
}

/** A process: what it is, how it was called, where it runs, who started it, the nearest first. */
function processLines(process: JsonObject, width: number): string[] {
  const { exe, comm, node_id, cgroup_path, workload, args, ancestry, zone } = process
  const who = [`pid ${valueText('pid', process['pid'])}`, userText(process['uid']),
    node_id ? `on ${valueText('', node_id)}` : ''].filter((part) => part !== '')
  const facts: [string, string][] = [
    ['command', commandText(args)],
    ['name', comm === undefined ? '' : valueText('', comm)],
    ['zone', zone === undefined ? '' : valueText('', zone)],
    ['workload', workload === exe || workload === undefined ? '' : valueText('', workload)],
    ['cgroup', cgroup_path === undefined ? '' : valueText('', cgroup_path)],
  ]
  const ancestors = Array.isArray(ancestry) ? ancestry.filter(isObject) : []
  return [
    ...wrap(`${valueText('', exe || comm || '?')} (${who.join(', ')})`, width),
    ...facts.filter(([, text]) => text !== '').flatMap(([label, text]) => hung(label, text, width)),
    ...ancestors.flatMap((one, i) => {
      const lines = hung(i === 0 ? 'from' : '', ancestorText(one), width)
      return lines.length <= ANCESTOR_LINES_MAX ? lines
        : [...lines.slice(0, ANCESTOR_LINES_MAX - 1), `${' '.repeat(2 + PROCESS_LABEL_COLUMNS)}…`]
    }),
  ]
}

/** Label, then the text in as many lines as it needs. */
function hung(label: string, text: string, width: number): string[] {
  const start = 2 + PROCESS_LABEL_COLUMNS
  return wrap(text, width - start).map((line, i) =>
    `  ${(i === 0 ? label : '').padEnd(PROCESS_LABEL_COLUMNS)}${line}`)
}

/** The command line says more than the executable, unless it claims to be another one. */
function ancestorText({ pid, uid, exe, args }: JsonObject): string {
  const command = commandText(args)
  const claimed = Array.isArray(args) ? String(args[0]).split('/').at(-1) : ''
  const isHonest = claimed !== '' && claimed === String(exe).split('/').at(-1)
  return `pid ${valueText('pid', pid)}, ${userText(uid)}: ` +
    (isHonest ? command : [valueText('', exe), command].filter((part) => part !== '').join(' as '))
}

function commandText(args: Json | undefined): string {
  return Array.isArray(args) ? args.map((word) => shellWord(String(word))).join(' ') : ''
}

function userText(uid: Json | undefined): string {
  return uid === undefined ? '' : uid === 0 ? 'uid 0 (root)' : `uid ${String(uid)}`
}

/** One value in words; objects as `name value, …`. */
function valueText(name: string, value: Json): string {
  if (typeof value === 'number') {
    if (/(^|_)bytes(_|$)/.test(name)) return formatBytes(value)
    // Numbers that are names have no commas.
    const isName = /(^|_)(pid|ppid|uid|ports?|seq)$/.test(name) || !Number.isInteger(value)
    return isName ? String(value) : formatCount(value)
  }
  if (typeof value === 'string') return printable(value)
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (Array.isArray(value)) return value.map((part) => valueText(name, part)).join(', ')
  if (!isObject(value)) return ''
  return Object.entries(value)
    .filter(([, part]) => part !== '' && part !== null)
    .map(([key, part]) => `${key.replaceAll('_', ' ')} ${valueText(key, part)}`).join(', ')
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
