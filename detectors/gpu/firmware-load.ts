import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity } from '../../detect/finding.ts'
import { amount, printable, worseOf } from '../../detect/words.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { firmwareLoadExamples } from './firmware-load.examples.ts'
import { isConfined, shifted, standingInWords, standingOf, whoInWords } from './standing.ts'
import type { Standing } from './standing.ts'

type Event = EventViews['firmware_load']

/** What the nodes of a group loaded before. */
interface State {
  /** By name (and compression) of the firmware: the contents, by digest, and who has them. */
  files: Map<string, Content[]>
  /** Names that each node loaded, the latest last. */
  nodes: Map<string, string[]>
}

interface Content { sha256: string, nodes: string[], loads: number }
interface Reason { word: string, text: string, severity: Severity, settled: boolean }

const FILES_MAX = 128
const CONTENTS_MAX = 8
const NODES_MAX = 4096
const NODES_OF_CONTENT_MAX = 256
const NAMES_OF_NODE_MAX = 8
/** EPERM, EACCES, EBADMSG, ENOKEY, EKEYREJECTED. */
const refusalErrors = new Set([1, 13, 74, 126, 129])
/** Also of the driver container of NVIDIA's GPU operator, which redirects the search path. */
const usualPath = /^(?:\/run\/nvidia\/driver)?\/(?:usr\/)?lib\/firmware\//
const ofDriver = /^nvidia\/([0-9]+(?:\.[0-9]+)+)\//

const [fires, quiet] = firmwareLoadExamples

export default defineDetector({
  id: 'GPU-008',
  title: 'Firmware of a GPU that is not what it should be',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1542.002', 'T1495'],
  atlas: [],
  blindSpots: [
    'VBIOS and InfoROM are not loaded by the kernel: GPU-002 sees their versions change, and '
      + 'GPU-010 the commands that write them.',
    'A file that is the same on no other node of the group, and was never loaded before.',
    'Firmware that a program loads by itself, past the driver: GPU-009 and GPU-014 see it take '
      + 'the GPU.',
  ],
  runbook: 'Compare the file with the one of the driver package. The processor that runs it is '
    + 'over all of the GPU\'s memory, of every tenant, and survives the reinstallation of '
    + 'nothing but itself. Take the node out until it is known whose file that is.',
  needs: ['firmware_load'],
  settings: {},
  // The kernel loads that of network cards, too: it concerns us when it comes from elsewhere.
  key: (event, context) => /^nvidia\//.test(event.firmware) || isElsewhere(event)
    ? `group ${context.zones.groupOf(event.node_id)}` : null,
  state: {
    initial: (): State => ({ files: new Map(), nodes: new Map() }),
    keysMax: 256,
    idleMs: 180 * 86_400_000,
  },
  evaluate(event, state, context) {
    const standing = standingOf(context.process, event.node_id, event.time_ms, context)
    const reasons = [...ofPlace(event, context), ...ofVersion(event),
      ...ofName(event, state, standing), ...ofContent(event, state)]
      .filter(({ settled }) => !(settled && standing === 'allowed'))
    if (reasons.length > 0) report(event, reasons, standing, context)
  },
  examples: [...fires, ...quiet],
})

function isElsewhere({ path, path_cut }: Event): boolean {
  return path !== '' && !path_cut && !usualPath.test(path)
}

function ofPlace(event: Event, { process }: Context): Reason[] {
  const reasons: Reason[] = []
  if (isElsewhere(event)) {
    reasons.push({ word: 'path', text: `from ${printable(event.path)}, so that the search path `
      + 'of the kernel was redirected', severity: 'high', settled: true })
  }
  if (refusalErrors.has(event.error)) {
    const severity = isConfined(process, false) ? 'high' : 'medium'
    reasons.push({ word: 'refused', text: `which the kernel refused (error ${event.error})`,
      severity, settled: false })
  }
  return reasons
}

/** The name says for which driver it is, and so does the file. */
function ofVersion({ firmware, firmware_version: says }: Event): Reason[] {
  const wanted = ofDriver.exec(firmware)?.[1]
  if (wanted === undefined || says === '' || says === wanted) return []
  return [{ word: 'version', text: `which says that it is of ${printable(says)}`,
    severity: 'high', settled: false }]
}

/** The first time on a node that had other ones: new firmware. */
function ofName(event: Event, { nodes }: State, standing: Standing): Reason[] {
  if (event.error !== 0 || !ofDriver.test(event.firmware)) return []
  const before = nodes.get(event.node_id)
  if (before?.includes(event.firmware)) return []
  if (before === undefined && nodes.size >= NODES_MAX) nodes.delete([...nodes.keys()][0])
  nodes.set(event.node_id, [...before ?? [], event.firmware].slice(-NAMES_OF_NODE_MAX))
  // Files for several chips come at once: only another driver's are new.
  const version = ofDriver.exec(event.firmware)![1]
  const other = before?.some((name) => ofDriver.exec(name)?.[1] !== version)
  const known = before?.some((name) => ofDriver.exec(name)?.[1] === version)
  if (!other || known || (standing !== 'outside' && standing !== 'stranger')) return []
  return [{ word: 'new', text: 'which the node had not loaded before',
    severity: 'medium', settled: true }]
}

/** Other bytes under the same name than on the node before, or than on other nodes. */
function ofContent(event: Event, { files }: State): Reason[] {
  const { sha256, node_id: node, path, error } = event
  if (sha256 === '' || error !== 0) return []
  const name = `${event.firmware}${/\.(?:xz|zst)$/.exec(path)?.[0] ?? ''}`
  const contents = files.get(name) ?? []
  if (contents.length === 0) {
    if (files.size >= FILES_MAX) files.delete([...files.keys()][0])
    files.set(name, contents)
  }
  const usual = contents.reduce<Content | undefined>((most, one) =>
    most === undefined || one.nodes.length > most.nodes.length ? one : most, undefined)
  const here = contents.find((one) => one.nodes.includes(node))
  if (here?.sha256 === sha256) {
    here.loads++
    return []
  }
  here?.nodes.splice(here.nodes.indexOf(node), 1)
  addNode(contents, sha256, node)
  if (here !== undefined) {
    return [{ word: 'changed', text: `whose content is not that of the time before `
      + `(${short(here.sha256)})`, severity: 'high', settled: false }]
  }
  if (usual === undefined || usual.sha256 === sha256) return []
  return [{ word: 'outlier', text: `whose content is not that of ${amount(usual.nodes.length,
    'other node')} (${short(usual.sha256)})`, severity: 'high', settled: false }]
}

function addNode(contents: Content[], sha256: string, node: string): void {
  let content = contents.find((one) => one.sha256 === sha256)
  if (content === undefined) {
    if (contents.length >= CONTENTS_MAX) {
      const fewest = contents.reduce((least, one) =>
        one.nodes.length < least.nodes.length ? one : least)
      contents.splice(contents.indexOf(fewest), 1)
    }
    content = { sha256, nodes: [], loads: 0 }
    contents.push(content)
  }
  if (content.nodes.length >= NODES_OF_CONTENT_MAX) content.nodes.shift()
  content.nodes.push(node)
  content.loads++
}

function short(sha256: string): string {
  return `SHA-256 ${printable(sha256.slice(0, 12))}…`
}

function report(event: Event, reasons: Reason[], standing: Standing, context: Context): void {
  const { firmware, path, sha256, device_name: device } = event
  const { process } = context
  const severity = reasons.map((one) => one.severity).reduce(worseOf)
  const words = standingInWords(standing)
  context.report({
    key: `${firmware} ${reasons.map(({ word }) => word).join(' ')}`,
    severity: standing === 'allowed' ? shifted(severity, -1) : severity,
    tell: () => ({
      summary: `${whoInWords(process, event.node_id, context)} made the driver load the firmware ` +
        `${printable(firmware)}${device === '' ? '' : ` for ${printable(device)}`}, ` +
        `${reasons.map(({ text }) => text).join(', ')}.${words === '' ? '' : ` ${words}`}`,
      details: {
        process: process === null ? null : context.describe(process), firmware, path, sha256,
        firmware_version: event.firmware_version, device_name: device, error: event.error, standing,
        reasons: reasons.map(({ word }) => word),
      },
      next_steps: [
        `Compare ${path === '' ? 'the file' : path} on ${event.node_id} with the driver package.`,
        'Look at /sys/module/firmware_class/parameters/path, and at who wrote it (GPU-014).',
      ],
    }),
  })
}
