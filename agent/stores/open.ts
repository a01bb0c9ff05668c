// The stores of this node, put together: what the correlator says they are, where they are, and
// what records about them are completed with.

import { artifactOf } from './artifacts/seen.ts'
import { Digests } from './digests.ts'
import type { DigestCounts, DigestsOptions } from './digests.ts'
import type { LabelKernel } from './labels.ts'
import { StoreLabels } from './labels.ts'
import { StoreIds } from './ids.ts'
import { renameIn, StoreRecords } from './records.ts'
import type { StoreTexts } from './records.ts'
import { readSaved, save } from './saved.ts'
import { LinkScan } from './roots/links.ts'
import { viewsOf } from './roots/views.ts'
import { labelsRefused, StoreWatch } from './watch.ts'
import { WatchedStores } from './watched.ts'
import type { StoreWatchCounts, StoreWatchOptions } from './watch.ts'
import type { NativeFailure } from '../../native/index.ts'
import type { RecordBuffer } from '../../proto/columns.ts'
import { rulesOfMessage } from '../../stores/rule-message.ts'
import type { StoresMessage } from '../../stores/rule-message.ts'
import type { ProcessFactsOf } from '../../proto/process-table.ts'
import { isOfArtifacts } from '../../stores/rule.ts'
import type { StoreRule } from '../../stores/rule.ts'
import type { Clock } from '../clock.ts'
import { AgentError } from '../errors.ts'
import type { Spool } from '../spool.ts'

export interface StoresOptions
  extends Pick<StoreWatchOptions, 'complain' | 'looked' | 'intervalMs' | 'procDir' | 'sysDir'> {
  /** Folder of the agent's data. */
  data: string
  clock: Clock
  /** Absent: no probe is loaded. */
  kernel: LabelKernel | undefined
  add: Spool['add']
  /** How much of artifacts is read; absent: nothing is. */
  artifacts?: Pick<DigestsOptions, 'bytesPerSecond' | 'bytesPerDay' | 'settleMs'>
    & { factsOf: ProcessFactsOf }
}

/** What runs beside the path of the events. */
export interface Stores {
  readonly watch: StoreWatch
  readonly counts: StoreWatchCounts & {
    /** Records of a store that nobody knows. */
    misses: number
    /** Files of stores with several names; what the scan for them left is in `left`. */
    links: number
    left: { files: number }
    artifacts: DigestCounts
  }
  /** Completes the record at `at`; the texts that belong to it. */
  complete(record: RecordBuffer, at: number, kind: number): StoreTexts | undefined
  /** The correlator says what the stores are: kept, and watched from now on. */
  take(message: StoresMessage): void
  start(): void
  stop(): void
}

/** Nothing is looked at before start(). */
export function openStores(options: StoresOptions): Stores {
  const { data, clock, kernel, add, complain } = options
  const ids = new StoreIds()
  const records = new StoreRecords((id) => ids.nameOf(id))
  const watch: StoreWatch = new StoreWatch({
    ...options, ids, labels: kernel && new StoreLabels(kernel), now: () => clock.now().bootNs,
    add: (seen, time) => add('store_seen', seen, time),
    looked(found) {
      const failure = changes && tellChanges(changes, watch, ids)
      if (failure) complain(labelsRefused(failure))
      options.looked(found)
      scan.setRoots(watch.roots)
    },
  })
  const scan = new LinkScan({ found: (links) => watch.setLinks(links) })
  const changes = kernel && new WatchedStores(kernel)
  const { artifacts } = options
  const digests = new Digests({ bytesPerSecond: 0, bytesPerDay: 0, ...options, ...artifacts })
  let sha256 = ''
  const attempt = <T>(work: () => T): T | undefined => {
    try {
      return work()
    } catch (error) {
      complain(error instanceof AgentError ? error : new AgentError('STORES_REFUSED',
        `the stores that the correlator tells of cannot be used: ${String(error)}`, error))
      return undefined
    }
  }
  const use = (rules: readonly StoreRule[], digest: string): void => {
    sha256 = digest
    watch.setRules(rules)
    digests.setRules(rules)
  }
  return {
    watch,
    get counts() {
      const { left, ...counts } = watch.counts
      return {
        ...counts, links: scan.counts.links,
        left: { ...left, labels: left.labels + (changes?.left ?? 0), files: scan.counts.left },
        misses: records.misses, artifacts: digests.counts,
      }
    },
    complete(record, at, kind) {
      const texts = records.complete(record, at, kind)
      const renamed = texts && renameIn(record, at, kind)
      if (renamed) watch.noteRename(renamed.device, renamed.inode, renamed.path)
      if (texts && artifacts && digests.wants(texts.store)) {
        const seen = artifactOf(record, at, kind, texts.store, artifacts.factsOf)
        if (seen) digests.note(seen)
      }
      return texts
    },
    take(message) {
      if (message.sha256 === sha256) return
      const rules = attempt(() => rulesOfMessage(message))
      if (!rules) return
      attempt(() => save(data, message))
      use(rules, message.sha256)
    },
    start() {
      const saved = attempt(() => readSaved(data))
      if (saved && saved.rules.length > 0) use(saved.rules, saved.sha256)
    },
    stop() {
      watch.stop()
      scan.stop()
      digests.stop()
    },
  }
}

/** Of which stores changes are watched, and by which paths. */
function tellChanges(
  changes: WatchedStores, watch: StoreWatch, ids: StoreIds,
): NativeFailure | undefined {
  return changes.set(watch.rules.filter(isOfArtifacts).map(({ name }) => ids.idOf(name)),
    viewsOf(watch.namespaces, watch.roots)
      .map(({ store, ...view }) => ({ ...view, id: ids.idOf(store) })))
}
