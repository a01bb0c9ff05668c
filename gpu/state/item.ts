// One item of the state of GPUs, as gpu_state tells it, and how hostile text becomes its value.

import { createHash } from 'node:crypto'

/** A reading of one item. Fields as in the event gpu_state. */
export interface GpuItem {
  /** 'host', 'driver', 'firmware', 'toolkit', 'fabric', 'gpu:UUID', 'nvswitch:0'. */
  subject: string
  /** In snake_case, in the words of NVML where it has one. */
  item: string
  reading: 'known' | 'not_supported' | 'unknown'
  /** '' unless known. */
  value: string
  /** Why it is not known, in words; '' when it is. */
  reason: string
  /** Function or file. */
  source: string
  /** '' for what is no device. */
  pci_address: string
}

/** Bytes of a value. What is longer is cut, and its digest stands at the end. */
export const valueBytesMax = 512
const digestBytes = 32

/** Where an item is found. */
export type ItemPlace = Pick<GpuItem, 'subject' | 'item' | 'source'> &
  Partial<Pick<GpuItem, 'pci_address'>>

/** A value that was read. */
export function known(place: ItemPlace, value: string): GpuItem {
  // The empty text is no value in events.
  const text = boundedText(value) || '""'
  return { pci_address: '', ...place, reading: 'known', value: text, reason: '' }
}

/** What should be there and could not be read. */
export function unknown(place: ItemPlace, reason: string): GpuItem {
  return {
    pci_address: '', ...place, reading: 'unknown', value: '', reason: boundedText(reason),
  }
}

/** What this GPU, driver or platform does not have. */
export function notSupported(place: ItemPlace, reason = ''): GpuItem {
  return {
    pci_address: '', ...place, reading: 'not_supported', value: '', reason: boundedText(reason),
  }
}

/**
 * Printable ASCII of at most 512 characters: other characters as \xNN or \u{…}. A longer text ends
 * in the beginning of its SHA-256, so that a change behind the cut is a change.
 */
export function boundedText(text: string): string {
  const escaped = text.slice(0, 2 * valueBytesMax).trim().replace(/[^\x20-\x7e]/gu, escape)
  if (escaped.length <= valueBytesMax && text.length <= 2 * valueBytesMax) return escaped
  const digest = createHash('sha256').update(text).digest('hex').slice(0, digestBytes)
  const end = `... sha256 ${digest}`
  return escaped.slice(0, valueBytesMax - end.length) + end
}

function escape(character: string): string {
  const code = character.codePointAt(0)!
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
}
