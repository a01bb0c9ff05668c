import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { overallVerdict } from '../gpu/attestation/verify.ts'
import {
  BASELINE_BYTES_MAX, BaselineFormatError, readBaseline, writeBaseline,
} from '../gpu/baseline/baseline.ts'
import type { Baseline } from '../gpu/baseline/baseline.ts'
import { captureBaseline } from '../gpu/baseline/capture.ts'
import { checkBaseline } from '../gpu/baseline/check.ts'
import { EvidenceFormatError, judgeEvidence, readEvidence } from '../gpu/baseline/evidence.ts'
import { BaselineKeyError, signBaseline } from '../gpu/baseline/signature.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
import { printLines, say, screenWidth, tone } from './output.ts'
import { readItems } from './read/gpu-items.ts'
import type { SettingName } from './settings.ts'
import { printable } from './text/printable.ts'
import { alignRows } from './text/table.ts'

const READ: SettingName[] = ['node', 'server', 'data', 'tls_ca', 'tls_cert', 'tls_key', 'gpu_root',
  'gpu_library']
const OFFLINE = { data: { help: 'read this data folder instead of asking a correlator' },
  node: { help: 'this node of the log (default: this machine)' } }
const FILE = { argument: '<file>', argumentHelp: 'baseline file' }

export const spec: CommandSpec = {
  name: 'baseline',
  summary: 'what the GPUs of a class of nodes must be: capture, sign, check',
  examples: [
    'vedette baseline capture --node-class h100-cc > h100-cc.yaml',
    'vedette baseline sign h100-cc.yaml --key baseline.key', 'vedette baseline check h100-cc.yaml',
  ],
  settings: [],
  run() {
    throw new CliError('CLI_USAGE',
      'baseline needs to be told what to do: vedette baseline check FILE')
  },
}

const capture: CommandSpec = {
  name: 'capture',
  summary: 'writes the baseline of a good node to standard output',
  examples: [
    'vedette baseline capture --node-class h100 > h100.yaml   of this machine',
    'vedette baseline capture --node gpu-1 --node-class h100  of a node, from the event log',
  ],
  settings: ['node_class', ...READ],
  changes: OFFLINE,
  async run(values): Promise<ExitCode> {
    const { baseline, unknown } = captureBaseline(await readItems(values), {
      node_class: values.node_class ?? 'gpu', captured_at: new Date().toISOString(),
      captured_on: values.node?.[0] ?? hostname(),
    })
    if (baseline.items.length === 0) {
      throw new CliError('CLI_NO_DATA', 'the node told nothing that a baseline could hold')
    }
    // What was read must be what is written: a baseline that cannot be read helps nobody.
    const text = writeBaseline(readChecked(writeBaseline(baseline), 'the captured baseline'))
    await printLines(values.output === 'json' ? [JSON.stringify(baseline)] : [text.trimEnd()])
    for (const one of unknown) say(`vedette: left out: ${printable(one)}`)
    say(`vedette: ${baseline.items.length} items; ${unknown.length} could not be known`)
    return 0
  },
}

const sign: CommandSpec = {
  name: 'sign', ...FILE,
  summary: 'signs a baseline file in its place, with an Ed25519 key',
  examples: ['vedette baseline sign h100.yaml --key baseline.key',
    'openssl genpkey -algorithm ed25519 -out baseline.key   makes a key',
    'openssl pkey -in baseline.key -pubout                  for gpus: baseline_keys of the policy'],
  settings: ['key'],
  async run({ key, output }, file): Promise<ExitCode> {
    if (key === undefined) throw new CliError('CLI_USAGE', '--key names the private key, PEM')
    const baseline = readBaselineFile(file!)
    const signed = signWith(baseline, readText(key, 'the key'), key)
    const mode = statSync(file!).mode & 0o777
    writeFileSync(`${file!}.new`, writeBaseline(signed), { mode })
    renameSync(`${file!}.new`, file!)
    const { key_id } = signed.signature!
    await printLines([output === 'json' ? JSON.stringify({ file, key_id })
      : `${printable(file!)}: signed by ${key_id}`])
    return 0
  },
}

const check: CommandSpec = {
  name: 'check', ...FILE,
  summary: 'compares a node, or evidence of a GPU, with a baseline',
  examples: [
    'vedette baseline check h100.yaml                         this machine; exit 1 when it differs',
    'vedette baseline check h100.yaml --node gpu-1 --strict   unknown items are differences, too',
    'vedette baseline check h100.yaml --evidence gpu-1.json   verifies attestation evidence',
  ],
  settings: ['strict', 'evidence', ...READ],
  changes: OFFLINE,
  async run(values, file): Promise<ExitCode> {
    const baseline = readBaselineFile(file!)
    const rows: Row[] = values.evidence === undefined
      ? checkBaseline(await readItems(values), baseline)
      : evidenceRows(values.evidence, baseline)
    await printLines(values.output === 'json' ? rows.map((row) => JSON.stringify(row))
      : table(rows, screenWidth()))
    const count = (verdict: string): number => rows.filter((one) => one.verdict === verdict).length
    const [differing, unknown] = [count('differs'), count('unknown')]
    say(`vedette: ${count('matches')} items match, ${differing} differ, ` +
      `${unknown} cannot be known` +
      (values.evidence === undefined ? '' : '; revocation was not checked'))
    return differing > 0 || (values.strict === true && unknown > 0) ? 1 : 0
  },
}

export const children = [capture, sign, check]

interface Row { subject: string, item: string, verdict: string, expected?: string, found: string }

function evidenceRows(file: string, baseline: Baseline): Row[] {
  try {
    return readEvidence(readText(file, 'the evidence')).flatMap((given) => {
      const judged = judgeEvidence(given, baseline, Date.now())
      const rows = judged.map(({ item, verdict, detail }) =>
        ({ subject: given.subject, item, verdict, found: detail }))
      return [...rows, { subject: given.subject, item: 'all', verdict: overallVerdict(judged),
        found: 'never "matches" while revocation is not checked' }]
    })
  } catch (error) {
    if (!(error instanceof EvidenceFormatError)) throw error
    throw new CliError('CLI_USAGE', `${file} is no evidence: ${error.message}`, error)
  }
}

function table(rows: readonly Row[], width: number): string[] {
  const tones = { matches: 'good', differs: 'bad', unknown: 'warning' } as const
  return alignRows([['VERDICT', 'SUBJECT', 'ITEM', 'FOUND'], ...rows.map((row) => [
    { text: row.verdict, paint: (text: string) =>
      tone(tones[row.verdict as keyof typeof tones], text) },
    short(row.subject, 24), short(row.item, 36),
    printable(row.found) + (row.expected === undefined || row.verdict === 'matches' ? ''
      : `, not ${printable(row.expected)}`),
  ])], width)
}

/** The end of a name tells more than its middle. */
function short(text: string, columns: number): string {
  const safe = printable(text)
  return safe.length <= columns ? safe : `${safe.slice(0, 8)}…${safe.slice(9 - columns)}`
}

function readBaselineFile(file: string): Baseline {
  return readChecked(readText(file, 'the baseline'), file)
}

function readChecked(text: string, file: string): Baseline {
  try {
    return readBaseline(text)
  } catch (error) {
    if (!(error instanceof BaselineFormatError)) throw error
    throw new CliError('CLI_USAGE', `${file} is no baseline: ${error.message}`, error)
  }
}

function signWith(baseline: Baseline, key: string, file: string): Baseline {
  try {
    return signBaseline(baseline, key)
  } catch (error) {
    if (!(error instanceof BaselineKeyError)) throw error
    throw new CliError('CLI_USAGE', `${file} cannot be used: ${error.message}`, error)
  }
}

function readText(file: string, what: string): string {
  try {
    const found = statSync(file)
    if (found.isFile() && found.size <= 2 * BASELINE_BYTES_MAX) return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CliError('CLI_UNREADABLE', `${what} ${file} cannot be read (${code})`, error)
  }
  throw new CliError('CLI_UNREADABLE', `${what} ${file} is no file, or too large`)
}
