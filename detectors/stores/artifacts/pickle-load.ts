import type { Context } from '../../../detect/context.ts'
import { OUTGOING } from '../../../detect/context.ts'
import { defineDetector } from '../../../detect/detector.ts'
import type { Severity, Story } from '../../../detect/finding.ts'
import { printable } from '../../../detect/words.ts'
import type { EventViews } from '../../../proto/gen/events.ts'
import { actorInWords, programOf } from '../../actor.ts'
import { baselineInWords, isMature, learnSettings, tellBaseline } from '../../baseline.ts'
import { domainOf } from '../../dns-names.ts'
import { farInWords, isHere, isMulticast, isPublic, nameOfFar } from '../../far-end.ts'
import { familyOf, networkKey } from '../../peer-key.ts'
import { isByHand, isShell } from '../../programs.ts'
import { isOfKernel } from '../reading.ts'
import { commandOf, isBuildTool } from './build-tools.ts'
import { isOfArtifacts } from './changes.ts'
import { isPickle } from './formats.ts'
import { isNewAfter, loadBefore, newLoads, noteLoad } from './loads.ts'
import type { After, Load } from './loads.ts'
import { pickleLoadExamples } from './pickle-load.examples.ts'

type Event = EventViews['store_read' | 'process_exec' | 'connection_open']
/** What followed a load. */
interface Followed { what: string, words: string, severity: Severity }

/** Findings about one process that loaded. */
const TOLD_MAX = 5
const [fires, quiet] = pickleLoadExamples

export default defineDetector({
  id: 'STO-011',
  title: 'A pickle was loaded, and then a program run or somebody called',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1204.003', 'T1059.004', 'T1059.006'],
  atlas: ['AML.T0011.000', 'AML.T0050', 'AML.T0072'],
  blindSpots: [
    'Code in a pickle that stays in the process that loads it: it needs no program and no '
      + 'connection of its own. STO-010 tells pickles that nobody signed.',
    'What comes after the window: code can wait.',
    'A report of reads names one file, a pickle before others: not which of several it was, and '
      + 'none that came to the process as an open descriptor, or that it opened before the agent '
      + 'began, after another file.',
    'Programs that a model server runs anyway, and compilers, at their usual names.',
    'Within a zone, connections are ordinary; where the policy has no zones, only those to the '
      + 'Internet are looked at, and only once it is known what is usual.',
    'Pickles without one of the usual endings (.pt .pth .bin .ckpt .pkl .joblib).',
  ],
  runbook: 'Stop the workload and keep the file: it is the evidence. What the program of the '
    + 'finding did is in its children and connections. Then find out who put the file into the '
    + 'store (STO-009), who else has loaded it (`vedette events --kind store_read`), and load '
    + 'safetensors instead.',
  needs: ['store_read', 'process_exec', 'connection_open'],
  settings: { ...learnSettings, learn_events: 5, window_ms: 30_000 },
  key: (event, context) => context.process === null || isOfKernel(context.process) ? null
    : event.kind === 'store_read' ? isLoad(event, context) ? 'loads' : null
    : event.kind === 'process_exec' ? event.at_start ? null : 'loads'
    : event.columns.direction[event.row] !== OUTGOING || event.at_start ? null : 'loads',
  state: { initial: newLoads, keysMax: 1, idleMs: 365 * 86_400_000 },
  evaluate(event, loads, context) {
    const process = context.process!
    if (event.kind === 'store_read') {
      const { path, store, time_ms: timeMs } = event
      return noteLoad(loads, process, path, store, timeMs, context.evidence)
    }
    const load = loadBefore(loads, process, event.time_ms, context.setting('window_ms'), context)
    if (load === null) return
    const after = loads.classes.get(load.workloadClass)
    if (after === undefined) return
    const followed = event.kind === 'process_exec' ? judgeExec(event, load, after, context)
      : judgeConnection(event, after, context)
    if (followed !== null && load.told++ < TOLD_MAX) report(event, followed, load, after, context)
  },
  examples: [...fires, ...quiet],
})

function isLoad({ path, store: name }: EventViews['store_read'], { policy }: Context): boolean {
  const store = policy.stores.get(name)
  return store !== null && isOfArtifacts(store) && isPickle(path)
}

/** What a program that a model should not run is; null for one that is ordinary. */
function judgeExec(
  event: EventViews['process_exec'], load: Load, after: After, context: Context,
): Followed | null {
  const process = context.process!
  const loader = context.processOf(load.process)
  const command = commandOf(process)
  const isNew = isNewAfter(after, isShell(process) ? command : programOf(event.exe))
  if (!isNew) return null
  // Workers of Python are the same program again.
  if (loader !== null && loader.number !== process.number && loader.exe === event.exe) return null
  if (isBuildTool(process)) return null
  const mature = isMature(after, event.time_ms, context)
  const byHand = isByHand(process)
  if (!byHand && !mature) return null
  const words = `started ${printable(event.exe)} as "${printable(command)}"`
  return { what: event.exe, words, severity: byHand && mature ? 'high' : 'medium' }
}

/** The policy decides; where it says nothing, only what is new and on the Internet is told. */
function judgeConnection(
  event: EventViews['connection_open'], after: After, context: Context,
): Followed | null {
  const { columns, row } = event
  if (isHere(event) || isMulticast(columns.remote_addr, 16 * row)) return null
  const name = nameOfFar(event, context)
  const place = name === '' ? `${networkKey(columns.remote_addr, 16 * row)}`
    : familyOf(domainOf(name) ?? name)
  const isNew = isNewAfter(after, `${place}:${event.remote_port}`)
  const words = `connected to ${farInWords(event, context)}`
  const what = `${event.remote_addr}:${event.remote_port}`
  const { policy, process } = context
  if (!policy.learning) {
    const [near, far] = [context.nearZone(event), context.farZone(event, context.peer(event))]
    if (near === far) return null
    const { allowed } = context.verdict(event, near, far, process, false)
    return allowed ? null : { what, words, severity: 'high' }
  }
  const outside = isPublic(columns.remote_addr, 16 * row)
  if (!isNew || !outside || !isMature(after, event.time_ms, context)) return null
  return { what, words, severity: 'medium' }
}

function report(
  event: Event, followed: Followed, load: Load, after: After, context: Context,
): void {
  context.report({
    key: `${load.path} ${followed.what}`, severity: followed.severity, stores: [load.store],
    evidence: [load.evidence, context.evidence],
    tell: () => tell(event, followed, load, after, context),
  })
}

function tell(
  event: Event, { words }: Followed, load: Load, after: After, context: Context,
): Story {
  const process = context.process!
  const loader = context.processOf(load.process) ?? process
  const mature = isMature(after, event.time_ms, context)
  const seconds = Math.max(0, Math.round((event.time_ms - load.timeMs) / 1000))
  const by = loader === process || loader.number === process.number ? 'it'
    : `${printable(process.exe || process.comm)} (pid ${process.pid}), which comes of it,`
  const usual = mature ? `After a load its workload had not done so ` +
    `${baselineInWords(after, event.time_ms).replace('event', 'load')} that were seen.`
    : 'Little is known yet of what its workload does after a load.'
  return {
    summary: `${actorInWords(loader, context)} read ${printable(load.path)} of the store ` +
      `${printable(load.store)}, which may be a pickle, and ${seconds} s later ` +
      `${by} ${words}. ${usual}`,
    details: {
      process: context.describe(loader), followed_by: context.describe(process),
      store: load.store, path: load.path, seconds, thin: !mature,
      baseline: tellBaseline(after, context),
    },
    next_steps: [
      `Stop the workload of pid ${loader.pid} on ${loader.node_id}, and keep ${load.path}.`,
      'Look who put the file into the store (STO-009), and who else has loaded it.',
    ],
  }
}
