// NVML as a reader of the state: when it is asked, what it means when nobody answers.

import { setTimeout as sleep } from 'node:timers/promises'
import { boundedText, known, unknown } from '../../../gpu/state/item.ts'
import type { GpuItem, ItemPlace } from '../../../gpu/state/item.ts'
import { nvmlReason, nvmlStateOf } from '../../../gpu/state/nvml-codes.ts'
import { itemsOfNvml } from '../../../gpu/state/nvml-items.ts'
import type { GpuIdentity } from '../../../gpu/state/nvml-items.ts'
import type { Nvml, NvmlAnswer, NvmlAsk } from '../../../native/gpu.ts'
import type { GpuEvidence } from '../../../proto/gen/events.ts'
import type { Reading } from '../state.ts'

export interface NvmlReaderOptions {
  /** Nvml of native/gpu.ts. */
  nvml: Pick<Nvml, 'begin' | 'take' | 'calling'>
  /** Name or path for dlopen(). */
  library: string
  /** The GPU at a PCI address, as /proc knows it. */
  identityOf(pciAddress: string): GpuIdentity
}

/** The thread is asked so often whether it is done. */
const pollMs = 20
/** A minute for the reading before to end. */
const beginWaitsMax = 3000
/** Of itself it reads the flash of the GPUs once an hour: that is slow. */
const slowIntervalMs = 3_600_000
const devicesMax = 64
const flashItems: ReadonlySet<string> = new Set(['inforom_valid'])
const statePlace: ItemPlace = { subject: 'driver', item: 'nvml_state', source: 'nvmlInit_v2' }

/** What reads, and remembers who the GPUs are. */
export class NvmlReader {
  readonly #options: NvmlReaderOptions
  readonly #byIndex = new Map<number, GpuIdentity>()
  readonly #uuids = new Map<string, string>()
  #slowAtMs = -Infinity
  /** File of the library that answered last; '' when none did. */
  library = ''

  constructor(options: NvmlReaderOptions) {
    this.#options = options
  }

  /** The function that is running now, for who waits too long. */
  get calling(): string { return this.#options.nvml.calling }

  /** UUID of the GPU at a PCI address, as NVML told it last. */
  uuidAt(pciAddress: string): string | undefined { return this.#uuids.get(pciAddress) }

  /** Takes as long as NVML does; one at a time. `thorough` reads the flash, too. */
  async read(nowMs: number, thorough: boolean): Promise<Reading> {
    const slow = thorough || nowMs - this.#slowAtMs >= slowIntervalMs
    const answer = await this.#ask({ library: this.#options.library, slow })
    if (!answer) return failedReading(unknown(statePlace, 'no thread for the reading'))
    const failed = failureOf(answer)
    if (failed) return failedReading(failed)
    if (slow) this.#slowAtMs = nowMs
    this.library = answer.library
    const { items, identities } = itemsOfNvml(answer.facts, this.#identityOf)
    this.#remember(identities)
    const silent = new Set(items.filter(({ item, value, reading }) =>
      item === 'device_state' && (reading !== 'known' || value !== 'ok'))
      .map(({ subject }) => subject))
    return {
      items: [known(statePlace, 'ok'), ...items], answered: true, silent,
      skipped: slow ? undefined : flashItems,
    }
  }

  /** Attestation evidence of every GPU for a nonce; one that has none says why. */
  async evidence(nonce: Uint8Array): Promise<Partial<GpuEvidence>[]> {
    const answer = await this.#ask({ library: this.#options.library, nonce })
    const hex = Buffer.from(nonce).toString('hex')
    const failed = answer && failureOf(answer)
    if (!answer || failed) {
      return [{ subject: 'driver', nonce: hex, reason: failed?.reason || failed?.value ||
        'another reading of NVML is under way' }]
    }
    const { identities } = itemsOfNvml(answer.facts, this.#identityOf)
    return [...identities].map(([device, { uuid, pci_address }]) => {
      const fact = (item: string) =>
        answer.facts.find((one) => one.device === device && one.item === item)
      const [report, chain] = [fact('attestation_report'), fact('attestation_certificate_chain')]
      const refused = [report, chain].find((one) => one?.status !== 0)
      const subject = `gpu:${uuid ?? pci_address ?? `index${device}`}`
      return {
        subject, nonce: hex,
        report: report?.value && Buffer.from(report.value, 'hex').toString('base64'),
        certificate_chain: chain?.value.replace(/[^\x20-\x7e\n]/g, '?'),
        ...refused && { reason: nvmlReason(refused.symbol, refused.status) },
      }
    })
  }

  readonly #identityOf = (index: number, pciAddress: string | undefined): GpuIdentity => {
    if (pciAddress === undefined) return this.#byIndex.get(index) ?? {}
    return {
      ...this.#options.identityOf(pciAddress), pci_address: pciAddress,
      ...this.#uuids.has(pciAddress) && { uuid: this.#uuids.get(pciAddress) },
    }
  }

  #remember(identities: Map<number, GpuIdentity>): void {
    for (const [index, identity] of identities) {
      this.#byIndex.set(index, identity)
      const { uuid, pci_address: address } = identity
      if (address && uuid && (this.#uuids.has(address) || this.#uuids.size < devicesMax)) {
        this.#uuids.set(address, uuid)
      }
    }
  }

  async #ask(ask: NvmlAsk): Promise<NvmlAnswer | undefined> {
    const { nvml } = this.#options
    for (let waits = 0; !nvml.begin(ask); waits++) {
      if (waits >= beginWaitsMax) return undefined
      await sleep(pollMs, undefined, { ref: false })
    }
    for (;;) {
      const answer = nvml.take()
      if (answer) return answer
      // Whoever stops the agent does not wait for a driver.
      await sleep(pollMs, undefined, { ref: false })
    }
  }
}

/** Why nothing was read, as the item that says so; undefined when something was. */
function failureOf({ failed, failed_status: status, detail, facts }: NvmlAnswer):
  GpuItem | undefined {
  if (failed === 'dlopen') {
    return unknown({ ...statePlace, source: 'dlopen' }, boundedText(detail))
  }
  const place = { ...statePlace, source: failed || 'nvmlDeviceGetCount_v2' }
  if (failed !== '') {
    const state = nvmlStateOf(status)
    return state ? known(place, state) : unknown(place, nvmlReason(failed, status))
  }
  const count = facts.find(({ item }) => item === 'device_count')
  if (!count) return unknown(place, 'it counts no GPUs')
  if (count.status !== 0) return unknown(place, nvmlReason(count.symbol, count.status))
  return Number(count.value) > devicesMax
    ? unknown(place, `it says that there are ${count.value} GPUs`) : undefined
}

function failedReading(item: GpuItem): Reading {
  const reason = `NVML: ${item.reason || item.value}`
  return { items: [item], answered: false, reason }
}

/** The driver was there, and is not any more. */
export function driverNotLoaded(): Reading {
  return failedReading(known({ ...statePlace, source: '/sys/module/nvidia' }, 'driver_not_loaded'))
}

/** For a reading that takes too long. */
export function noAnswer(calling: string, seconds: number): Reading {
  const reason = `NVML does not answer: ${calling || 'the reading'} for ${seconds} s`
  return failedReading(unknown(statePlace, reason))
}
