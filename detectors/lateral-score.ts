/** What speaks for an intrusion in a path over several hops, and how much. */
import type { Context } from '../detect/context.ts'
import { flag, means } from '../detect/graph/connection-columns.ts'
import { isLogin } from '../detect/graph/logins.ts'
import type { Step } from '../detect/graph/walk.ts'
import type { LineageProcess } from '../detect/lineage.ts'
import { endpoint, printable } from '../detect/words.ts'
import { formatAddress } from '../proto/address.ts'
import { programOf } from './actor.ts'
import { isByHand, isInterpreter, isShell } from './programs.ts'

/** A path with its zones and its score. Zones are indexes into the policy. */
export interface JudgedPath {
  steps: Step[]
  /** Zones of the two ends of each step. */
  zones: [from: number, to: number][]
  score: number
  /** A flow allows the way from end to end, and every hop of it is allowed. */
  permitted: boolean
  /** What the score is made of, in words; the heaviest first. */
  reasons: string[]
}

interface Reason { points: number; text: string }

/** A hop that no flow allows, and a shell that a server starts, are each enough. */
const NOT_ALLOWED = 50
const NOT_ALLOWED_MOST = 100
const SHELL = 50
const STREAMS = 50
const FILE = 40
const BY_HAND = 35
const INTERPRETER = 30
const DESCRIPTOR = 30
const PLANTED = 30
const OTHER_PROGRAM = 15
const UNIX = 10
const SWITCH = 10
const TO_ROOT = 20
const SWITCHES_MOST = 30
const FIRST_SEEN = 10
const FIRST_SEEN_MOST = 20
/** What every administrator does: logins one after the other. Never enough. */
const SESSION = 5
const FURTHER_HOP = 5
const ORDINARY_MOST = 15

/**
 * Null unless the path leads from a less trusted zone into a protected one, over at least one
 * process that is known.
 */
export function judgePath(steps: Step[], context: Context): JudgedPath | null {
  if (steps.length < context.setting('hops_min')) return null
  const { exposures } = context.policy
  const zones = zonesOf(steps, context)
  const from = steps[0].reverse ? zones[0][1] : zones[0][0]
  const to = zones[zones.length - 1][1]
  if (from === to || exposures[to] !== 'protected' || exposures[from] === 'protected') return null
  const reasons: Reason[] = []
  const forbidden = steps.filter((step, i) => !isAllowed(step, zones[i], context))
  const head = steps[steps.length - 1]
  const permitted = forbidden.length === 0 && isOfNetwork(head, context) &&
    isAllowed(head, [from, to], context)
  for (const step of forbidden) {
    const [source, target] = zones[steps.indexOf(step)]
    reasons.push({ points: NOT_ALLOWED, text: `no flow allows ${context.zoneName(source)} to ` +
      `reach ${context.zoneName(target)} like this` })
  }
  const ordinary: Reason[] = []
  const switches: Reason[] = []
  for (let i = 1; i < steps.length; i++) judgeLink(steps, i, context, reasons, ordinary, switches)
  for (let i = 2; i < steps.length; i++) ordinary.push({ points: FURTHER_HOP, text: '' })
  const fresh = steps.flatMap((step) => firstSeenReason(step, context))
  const score = Math.min(NOT_ALLOWED_MOST, NOT_ALLOWED * forbidden.length) +
    sum(reasons.slice(forbidden.length)) + Math.min(SWITCHES_MOST, sum(switches)) +
    Math.min(FIRST_SEEN_MOST, sum(fresh)) + Math.min(ORDINARY_MOST, sum(ordinary))
  const all = [...reasons, ...switches, ...fresh].sort((a, b) => b.points - a.points)
  return { steps, zones, score, permitted, reasons: [...new Set(all.map(({ text }) => text))] }
}

/** From the process that the step before reached (exclusive) to the one that acts. */
export function processesBetween(
  before: Step, step: Step, context: Context,
): { reached: LineageProcess | null; via: LineageProcess[] } {
  const { columns } = context.graph.connections
  const slot = before.connection
  const reached = context.processOf((before.reverse ? columns.client : columns.server).get(slot))
  const actor = context.processOf(step.actor)
  if (actor === null || actor === reached) return { reached, via: [] }
  const via: LineageProcess[] = []
  for (const process of [actor, ...context.ancestry(actor)]) {
    if (process === reached) break
    // Where the reached one is no ancestor, what ran before it was reached is none of it either.
    const startMs = (process.startHigh * 4294967296 + process.startLow) / 1e6
    const after = startMs >= columns.serverMs.get(slot) - 1 ||
      context.graph.connections.isAtStart(slot)
    if (process !== actor && process.source === columns.serverSource.get(slot) && !after) break
    via.push(process)
  }
  return { reached, via: via.reverse() }
}

function zonesOf(steps: Step[], context: Context): [from: number, to: number][] {
  const { columns } = context.graph.connections
  const zones = steps.map(({ connection, actor }) =>
    context.zonesOfConnection(
      connection, context.processOf(actor || columns.client.get(connection))))
  // A file or a Unix socket has no address: the zones are those of what comes after.
  for (let i = steps.length - 2; i >= 0; i--) {
    const next = zones[i + 1][0]
    if (!isOfNetwork(steps[i], context)) zones[i] = [next, next]
  }
  // The machine of the other end of vsock is known by how it was reached.
  for (let i = 1; i < steps.length; i++) {
    const how = columns.means.get(steps[i].connection)
    if (how === means.vsock) zones[i] = [zones[i - 1][1], zones[i][1]]
  }
  return zones
}

function isOfNetwork({ connection }: Pick<Step, 'connection'>, context: Context): boolean {
  return context.graph.connections.columns.means.get(connection) === means.network
}

function isAllowed(
  { connection, actor, reverse }: Step, [from, to]: [from: number, to: number], context: Context,
): boolean {
  if (!isOfNetwork({ connection }, context) || from === to || reverse) return true
  return context.verdictOfConnection(connection, from, to, context.processOf(actor)).allowed
}

/** NET-004 found the connection to be new. */
function firstSeenReason({ connection, actor }: Step, context: Context): Reason[] {
  const { columns } = context.graph.connections
  const { flags, client, serverAddr, serverPort } = columns
  if ((flags.get(connection) & flag.firstSeen) === 0) return []
  const process = context.processOf(actor || client.get(connection))
  const there = endpoint(
    formatAddress(serverAddr, columns.addressAt(connection)), serverPort.get(connection))
  return [{ points: FIRST_SEEN, text: process === null
    ? `${there} had not been called from there before`
    : `the workload of ${nameOf(process)} had not talked to ${there} before` }]
}

/** What the step from one hop to the next says. */
function judgeLink(
  steps: Step[], i: number, context: Context, reasons: Reason[], ordinary: Reason[],
  switches: Reason[],
): void {
  const [before, step] = [steps[i - 1], steps[i]]
  const { reached, via } = processesBetween(before, step, context)
  const actor = context.processOf(step.actor)
  if (actor === null) return
  const login = isLogin(reached) || step.link === 'exec' ||
    (step.link === 'stdio' && via.some(isLogin))
  if (login) ordinary.push({ points: SESSION, text: '' })
  else {
    const told = linkReason(step, reached, via)
    if (told !== null) reasons.push(told)
  }
  const planted = via.find(isPlanted)
  if (planted !== undefined) {
    reasons.push({ points: PLANTED, text: `${nameOf(planted)} runs from where anybody can write` })
  }
  const first = switchOf(reached, actor)
  if (!login && first !== null) switches.push(first)
  const last = context.processOf(before.actor)
  // Whose request it was of several is a guess: that one of them is another user says nothing.
  const { means: how } = context.graph.connections.columns
  const isEntry = how.get(step.connection) === means.exec
  const other = !isEntry && step.of === 1 && last !== null && last.source !== actor.source &&
    !isLogin(last) ? switchOf(last, actor) : null
  if (other !== null) switches.push(other)
}

function linkReason(
  { link, reverse }: Step, reached: LineageProcess | null, via: LineageProcess[],
): Reason | null {
  const server = reached === null ? 'a server' : nameOf(reached)
  const shell = via.find(isShell)
  switch (link) {
    case 'stdio':
      return { points: STREAMS, text: reverse
        ? `${nameOf(via[0] ?? reached)} takes its commands from a connection that it opened`
        : `a connection is the standard input or output of ${nameOf(shell ?? via[0] ?? reached)}` }
    case 'descriptor':
      return { points: DESCRIPTOR, text: 'a process acts on a connection that it was handed' }
    case 'file':
      return { points: FILE, text: 'a process runs a file that another one left on shared storage' }
    case 'unix':
      return { points: UNIX, text: 'a process asked another one across the border of a container' }
    case 'descendant': {
      if (shell !== undefined && !(reached !== null && isShell(reached))) {
        return { points: SHELL, text: `${server} started a shell, ${nameOf(shell)}` }
      }
      const tool = via.find(isByHand)
      if (tool !== undefined) {
        return { points: BY_HAND, text: `${server} started ${nameOf(tool)}, a tool of people` }
      }
      const others = via.filter(({ exe }) => programOf(exe) !== programOf(reached?.exe ?? ''))
      const script = others.find(isInterpreter)
      if (script !== undefined) {
        return { points: INTERPRETER, text: `${server} started the interpreter ${nameOf(script)}` }
      }
      return others.length === 0 ? null
        : { points: OTHER_PROGRAM, text: `${server} started ${nameOf(others[0])}` }
    }
    default:
      return null
  }
}

/** Who acts has changed. */
function switchOf(before: LineageProcess | null, after: LineageProcess): Reason | null {
  if (before === null) return null
  const [account, other] = [before, after].map(({ cgroup: { facts } }) =>
    facts?.service_account ? `${facts.namespace}/${facts.service_account}` : '')
  if (account !== '' && other !== '' && account !== other) {
    return { points: SWITCH, text: `the service account changes from ${printable(account)} to ` +
      printable(other) }
  }
  if (before.uid === after.uid) return null
  const points = after.uid === 0 ? TO_ROOT : SWITCH
  return { points, text: `the user changes from uid ${before.uid} to uid ${after.uid}` }
}

function isPlanted({ exe }: LineageProcess): boolean {
  return /^\/(?:tmp|var\/tmp|dev\/shm|run\/shm)\/|^memfd:|^\/memfd:| \(deleted\)$/.test(exe)
}

function nameOf(process: LineageProcess | null | undefined): string {
  return process ? printable(process.exe || process.comm || 'a process') : 'a process'
}

function sum(reasons: readonly Reason[]): number {
  return reasons.reduce((total, { points }) => total + points, 0)
}
