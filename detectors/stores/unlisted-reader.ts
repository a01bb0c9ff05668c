import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Evidence, Story } from '../../detect/finding.ts'
import type { LineageProcess } from '../../detect/lineage.ts'
import { NETWORK } from '../../detect/stores/store-states.ts'
import { printable } from '../../detect/words.ts'
import type { StorePolicy } from '../../policy/policy.ts'
import { actorInWords } from '../actor.ts'
import { addRead, filesOfAll, newAmounts } from './amounts.ts'
import type { Amounts } from './amounts.ts'
import { isOfDisk } from './disk.ts'
import { readKinds, readOf, verdictOf, weighed } from './reading.ts'
import type { Read } from './reading.ts'
import { unlistedReaderExamples } from './unlisted-reader.examples.ts'
import { grownSummary, sentenceInWords } from './words.ts'
import type { Sentence } from './words.ts'

/** What a workload that the policy does not name has read of a store. */
interface State {
  store: string
  amounts: Amounts
  mechanism: string
  /** Number of the process that read first. */
  process: number
  evidence: Evidence
  wallNs: bigint
  /** Other programs than the first. */
  programs: string[]
  /** Null until it is told, and when an open finding was told of it before. */
  sentence: Sentence | null
  waited: boolean
  told: boolean
  /** Null also while the detector is muted. */
  incident: string | null
}

const PROGRAMS_MAX = 16
const [fires, quiet] = unlistedReaderExamples

export default defineDetector({
  id: 'STO-004',
  title: 'A store is read by someone whom the policy does not name as a reader',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1213', 'T1039', 'T1005'],
  atlas: ['AML.T0036', 'AML.T0037'],
  blindSpots: [
    'Stores for which the policy has no readers: there STO-001 and STO-002 look at what is usual.',
    'A reader whom the policy names and who was taken over: STO-002, STO-003 and STO-005. One '
      + 'entry of readers is enough: who is named by an identity may read from any zone, and who '
      + 'is in a zone that is named under any identity.',
    'What the kernel reads for others (a server of NFS, a loop device): the clients are not known '
      + 'on its node, but on their own.',
    'What one process hands to another in memory or over a pipe: the first one counts.',
    'Less than the thresholds over a connection, as the greeting of a database is, and of a disk '
      + 'below a store, as udev and blkid read of each.',
    'Bytes of an encrypted connection count as they come: what is asked for is not known.',
  ],
  runbook: 'Ask who runs the workload what it needs the store for. If it does, add it to readers '
    + 'of the store. If not, stop it, look at what it has sent since, and take the right to read '
    + 'from it where the store is: mounts, keys, passwords.',
  needs: readKinds,
  readsOnly: true,
  settings: {
    bytes_min: 1, network_bytes_min: 65_536, disk_bytes_min: 4_194_304, hold_ms: 5000,
  },
  key: (_, context) => {
    const read = readOf(context)
    if (read === null || verdictOf(read, context).allowed !== false) return null
    return `${context.subjectOf(read.process)} ${read.store.name}`
  },
  state: {
    initial: (event, context): State => {
      const { process, store, reading } = readOf(context)!
      return {
        store: store.name, amounts: newAmounts(), mechanism: reading.mechanism,
        process: process.number, evidence: context.evidence, wallNs: event.wall_ns, programs: [],
        sentence: null, waited: false, told: false, incident: null,
      }
    },
    keysMax: 10_000,
    idleMs: 3_600_000,
  },
  evaluate(event, state, context) {
    const read = readOf(context)!
    const { process, store, reading } = read
    addRead(state.amounts, read)
    if (state.told) return amend(state, read, context)
    const least = reading.mechanism === NETWORK ? 'network_bytes_min'
      : isOfDisk(event) ? 'disk_bytes_min' : 'bytes_min'
    if (state.amounts.bytes < context.setting(least)) return
    // The labels of a pod come a little later than its first reads.
    if (!state.waited && context.zones.awaitsNames(process)) {
      context.wakeIn(context.setting('hold_ms'))
      return
    }
    report(state, store, process, context)
  },
  wake(state, context) {
    state.waited = true
    const process = context.processOf(state.process)
    const store = context.policy.stores.get(state.store)
    if (process === null || store === null) return context.forget()
    if (verdictOf({ process, store }, context).allowed !== false) return context.forget()
    report(state, store, process, context)
  },
  examples: [...fires, ...quiet],
})

function amend(state: State, { process, store, reading }: Read, context: Context): void {
  if (state.incident === null) return
  const program = printable(process.exe || process.comm)
  const isNew = process.number !== state.process && !state.programs.includes(program)
  if (isNew && state.programs.length < PROGRAMS_MAX) state.programs.push(program)
  context.amend(state.incident, state.store, {
    ...grownSummary(state.sentence, state.amounts, store),
    totals: { bytes: reading.bytes },
    details: {
      files: filesOfAll(state.amounts), processes: state.amounts.processes,
      further_programs: state.programs,
    },
  })
}

function report(
  state: State, store: StorePolicy, process: LineageProcess, context: Context,
): void {
  state.told = true
  const zone = context.zoneOf(process)
  state.incident = context.report({
    key: store.name, severity: weighed('high', store), stores: [store.name],
    subject: context.subjectOf(process), joins: context.chainOf(process),
    zones: [zone < 0 ? '' : context.zoneName(zone), store.zone ?? ''],
    workloads: [context.workloadOf(process)], nodes: [process.node_id],
    evidence: [state.evidence], wallNs: state.wallNs, totals: { bytes: state.amounts.bytes },
    tell: () => tell(state, store, process, context),
  })
}

function tell(
  state: State, store: StorePolicy, process: LineageProcess, context: Context,
): Story {
  const zone = context.zoneOf(process)
  const { amounts, mechanism } = state
  const { line } = verdictOf({ process, store }, context)
  const { service_account: accountName, namespace, systemd_unit: unit } =
    context.zones.factsOfProcess(process)
  const account = accountName ? `the service account ${printable(accountName)}` : ''
  const where = zone < 0 ? 'in no zone' : `in the zone ${context.zoneName(zone)}`
  state.sentence = {
    who: actorInWords(process, context),
    rest: `It is ${where}${account === '' ? '' : ` as ${account}`}, and the policy does not name ` +
      `it as a reader (line ${line}).`,
  }
  return {
    summary: sentenceInWords(state.sentence, amounts, store),
    details: {
      process: context.describe(process), store: store.name, store_kind: store.kind,
      sensitivity: store.sensitivity, mechanism, files: filesOfAll(amounts),
      processes: amounts.processes, policy_line: line,
      service_account: accountName ?? '', namespace: namespace ?? '', systemd_unit: unit ?? '',
    },
    next_steps: [
      `Look at pid ${process.pid} on ${process.node_id}, and at what its workload has sent since.`,
      `If it should read the store, add it to readers: of ${printable(store.name)} in the policy.`,
    ],
  }
}
