// The state of the GPUs of this node, put together: who reads what, who is told.

import { randomBytes } from 'node:crypto'
import { Nvml } from '../../native/gpu.ts'
import { AddonMissingError } from '../../native/addon.ts'
import { known } from '../../gpu/state/item.ts'
import type { RecordBuffer } from '../../proto/columns.ts'
import type {
  GpuEvidence, GpuState as GpuStateEvent, GpuXid, Process,
} from '../../proto/gen/events.ts'
import type { Clock } from '../clock.ts'
import { Acts } from './acts.ts'
import type { ActsOptions } from './acts.ts'
import { readDevices } from './readers/devices.ts'
import { findGpus, readDriver } from './readers/driver.ts'
import { FabricReader } from './readers/fabric.ts'
import { Files } from './readers/files.ts'
import { readFirmware } from './readers/firmware.ts'
import { readHost } from './readers/host.ts'
import { driverNotLoaded, noAnswer, NvmlReader } from './readers/nvml.ts'
import { ToolkitReader } from './readers/toolkit.ts'
import type { GpuItem } from '../../gpu/state/item.ts'
import type { GpuIdentity } from '../../gpu/state/nvml-items.ts'
import type { Reading } from './state.ts'
import { GpuWatch } from './watch.ts'
import type { GpuWatchCounts, GpuWatchOptions, StateReader } from './watch.ts'
import { Xids } from './xids.ts'
import type { XidsOptions } from './xids.ts'

/** Settings of the agent about the state of GPUs. */
export interface GpuSettings {
  /** Where the root of the node is, '/' unless it is mounted elsewhere. */
  gpu_root: string
  /** Name or path of the library of NVML. */
  gpu_library: string
  gpu_interval_ms: number
  /** Evidence of every GPU is told at the start. */
  gpu_evidence: boolean
}

export interface GpusOptions extends Pick<ActsOptions, 'factsOf' | 'callFacts'>,
  Pick<GpuWatchOptions, 'complain' | 'hintDelayMs' | 'timeoutMs'> {
  config: GpuSettings
  clock: Clock
  /** So long the list of GPUs holds: for the readers of one look. */
  findAgainMs?: number
  add<K extends keyof Told>(
    kind: K, values: Partial<Told[K]>, time: bigint, process: Partial<Process> | undefined): void
  /** Absent: the errors that drivers tell of are not watched. */
  xids?: Pick<XidsOptions, 'processOf' | 'noteLoss' | 'openLog'>
}

interface Told { gpu_state: GpuStateEvent, gpu_evidence: GpuEvidence, gpu_xid: GpuXid }

/** What runs beside the path of the events. */
export interface Gpus {
  readonly counts: GpuWatchCounts & { acts_forgotten: number, xids: Xids['counts'] }
  /** A record that was decoded: an act is remembered, and the state read soon. */
  observe(record: RecordBuffer, at: number, kind: number): void
  /** Asks every GPU for evidence now; one event each. */
  tellEvidence(nonce: Uint8Array): Promise<void>
  start(): void
  stop(): void
}

/** Is there anything to read? Asked once for all readers of a look. */
interface Present { driver: boolean, pci: string[] }

/** Nothing is read before start(). A node without GPU and driver costs one look per interval. */
export function openGpus(options: GpusOptions): Gpus {
  const { config, add, clock, complain, hintDelayMs, timeoutMs } = options
  const now = (): bigint => clock.now().bootNs
  const files = new Files(config.gpu_root)
  const acts = new Acts(options)
  const identities = new Map<string, GpuIdentity>()
  const nvml = openNvml(config.gpu_library, (address) => identities.get(address) ?? {})
  const uuidAt = (address: string): GpuIdentity =>
    ({ uuid: nvml?.uuidAt(address) ?? identities.get(address)?.uuid })
  const watch = new GpuWatch({
    readers: readersOf(files, nvml, identities, uuidAt, options.findAgainMs),
    now, complain, hintDelayMs, timeoutMs,
    intervalMs: config.gpu_interval_ms, add, actorOf: (subject, at) => acts.actorOf(subject, at),
  })
  const xids = options.xids && new Xids({
    ...options.xids, clock, complain, add, root: config.gpu_root, seen: () => watch.hint('gpu_xid'),
  })
  return {
    get counts() {
      return { ...watch.counts, acts_forgotten: acts.forgotten, xids: xids?.counts ?? noXids }
    },
    observe(record, at, kind) {
      const act = acts.observe(record, at, kind)
      // Who opens a device changes nothing yet.
      if (act && act !== 'gpu_device_open') watch.hint(act)
      if (act === 'kernel_module') xids?.look()
    },
    async tellEvidence(nonce) {
      for (const evidence of await nvml?.evidence(nonce) ?? []) {
        add('gpu_evidence', evidence, now(), undefined)
      }
    },
    start() {
      watch.start()
      xids?.start()
      if (config.gpu_evidence) void this.tellEvidence(randomBytes(32))
    },
    stop() {
      watch.stop()
      xids?.stop()
    },
  }
}

const noXids = { told: 0, refused: 0, messages_lost: 0 }

/** Undefined without the addon, which then says so elsewhere. */
function openNvml(
  library: string, identityOf: (pciAddress: string) => GpuIdentity,
): NvmlReader | undefined {
  try {
    return new NvmlReader({ nvml: new Nvml(), library, identityOf })
  } catch (error) {
    if (error instanceof AddonMissingError) return undefined
    throw error
  }
}

function readersOf(
  files: Files, nvml: NvmlReader | undefined, identities: Map<string, GpuIdentity>,
  uuidAt: (pciAddress: string) => GpuIdentity, findAgainMs = 1000,
): StateReader[] {
  const find = sharedFor(findAgainMs, () => findGpus(files))
  const fabric = new FabricReader(files)
  const toolkit = new ToolkitReader(files)
  const onGpuNode = (name: string, read: (found: Present) => Promise<GpuItem[]>): StateReader =>
    readerOf(name, async () => {
      const found = await find()
      return isEmpty(found) ? [] : await read(found)
    })
  const asleep = new Set<string>()
  const readers = [
    readerOf('driver', async () => {
      const found = await find()
      return isEmpty(found) ? [noDriver] : await readDriver(files, found.driver, found.pci)
    }),
    devicesReader(files, find, identities, uuidAt, asleep),
    onGpuNode('host', () => readHost(files)),
    onGpuNode('firmware', () => readFirmware(files)),
    onGpuNode('toolkit', () => toolkit.read()),
    onGpuNode('fabric', () => fabric.read()),
  ]
  return nvml ? [...readers, nvmlReader(nvml, find, asleep)] : readers
}

const noDriver = known(
  { subject: 'driver', item: 'driver_state', source: '/sys/module/nvidia' }, 'not_loaded')

const isEmpty = ({ driver, pci }: Present): boolean => !driver && pci.length === 0

function readerOf(name: string, read: () => Promise<GpuItem[]>): StateReader {
  return {
    name, read: async () => ({ items: await read(), answered: true }), noAnswer: silence(name),
  }
}

function devicesReader(
  files: Files, find: () => Promise<Present>, identities: Map<string, GpuIdentity>,
  uuidAt: (pciAddress: string) => GpuIdentity, asleep: Set<string>,
): StateReader {
  return {
    name: 'devices', noAnswer: silence('devices'),
    async read(): Promise<Reading> {
      const read = await readDevices(files, (await find()).pci, uuidAt)
      for (const [address, identity] of read.identities) {
        if (identity.uuid) identities.set(address, identity)
      }
      asleep.clear()
      for (const subject of read.asleep) asleep.add(subject)
      return { items: read.items, answered: true, silent: read.asleep }
    },
  }
}

/** Without a driver there is nobody to ask. A GPU that sleeps is not woken, but after an act. */
function nvmlReader(
  nvml: NvmlReader, find: () => Promise<Present>, asleep: ReadonlySet<string>,
): StateReader {
  let asked = false
  return {
    name: 'nvml', noAnswer: (seconds) => noAnswer(nvml.calling, seconds),
    async read(nowMs, thorough): Promise<Reading | undefined> {
      // NVML itself would load the driver that somebody just took away.
      if (!(await find()).driver) return asked ? driverNotLoaded() : { items: [], answered: true }
      if (asked && asleep.size > 0 && !thorough) return undefined
      asked = true
      return nvml.read(nowMs, thorough)
    },
  }
}

const silence = (name: string) => (seconds: number): Reading => ({
  items: [], answered: false, reason: `reading the ${name} takes more than ${seconds} s`,
})

/** What `make` gave, for all who ask within so many milliseconds. */
function sharedFor<T>(milliseconds: number, make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    if (made) return made
    const mine = made = make()
    setTimeout(() => { if (made === mine) made = undefined }, milliseconds).unref()
    return mine
  }
}
