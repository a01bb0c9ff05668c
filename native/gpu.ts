// The typed face of NVML: one reading at a time, which may take for ever without anybody waiting.

import { constants } from 'node:os'
import { loadAddon } from './addon.ts'
import type { RawNvml } from './addon.ts'
import { NativeError } from './index.ts'

/** One answer of NVML. */
export interface NvmlFact {
  /** Index of the GPU; -1 for the whole node. */
  device: number
  /** In NVML's words, such as 'vbios_version'. */
  item: string
  /** The function that answered. */
  symbol: string
  /** nvmlReturn_t; -1: this library has no such function. */
  status: number
  /** Text, one character for each byte, or a decimal number; '' unless status is 0. */
  value: string
}

/** What a reading brought. */
export interface NvmlAnswer {
  /** What ended it before any GPU was asked ('dlopen', 'nvmlInit_v2'); '' when nothing. */
  failed: string
  /** nvmlReturn_t of that; -1: no such function; 0 for dlopen. */
  failed_status: number
  /** What the loader said of dlopen. */
  detail: string
  /** File of the library. */
  library: string
  facts: NvmlFact[]
}

/** What to read. */
export interface NvmlAsk {
  /** Name or path for dlopen(). */
  library: string
  /** With what reads the flash of the GPU. Default false. */
  slow?: boolean
  /** 32 bytes: attestation evidence for this nonce instead of the state. */
  nonce?: Uint8Array
}

/**
 * Asks NVML on a thread of its own: opens the library, reads, closes it (while it is in use the
 * driver cannot be unloaded). Nothing that sets a state is ever looked up.
 */
export class Nvml {
  readonly #raw: RawNvml = new (loadAddon().Nvml)()

  /** False while the last reading was not taken. Throws NativeError for a wrong question. */
  begin({ library, slow = false, nonce }: NvmlAsk): boolean {
    const error = -this.#raw.begin(library, slow, nonce)
    if (error === constants.errno.EBUSY) return false
    if (error === constants.errno.EINVAL) {
      throw new NativeError('nvml', 'EINVAL', 'the library is a text, the nonce has 32 bytes')
    }
    // EAGAIN: no more threads here. It is tried again later.
    return error === 0
  }

  /** What was read, once; undefined while it is not there. */
  take(): NvmlAnswer | undefined { return this.#raw.take() }

  /** The function that is running now; '' when no reading is under way. */
  get calling(): string { return this.#raw.calling() }
}
