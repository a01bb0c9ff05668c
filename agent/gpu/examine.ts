// Does NVML answer on this node? For `vedette doctor`.

import { setTimeout as sleep } from 'node:timers/promises'
import { AddonMissingError } from '../../native/addon.ts'
import { Nvml } from '../../native/gpu.ts'
import type { NvmlAnswer } from '../../native/gpu.ts'
import { nvmlAbsent, nvmlReason } from '../../gpu/state/nvml-codes.ts'
import { boundedText } from '../../gpu/state/item.ts'
import type { DoctorFact } from '../self/doctor-fact.ts'
import { findGpus } from './readers/driver.ts'
import { Files } from './readers/files.ts'

export interface ExamineOptions {
  /** Default '/'. */
  root?: string
  /** Default libnvidia-ml.so.1. */
  library?: string
  timeoutMs?: number
}

const lost = 'VBIOS, InfoROM, ECC, MIG, confidential computing and the other state of GPUs that ' +
  'only NVML tells'
const fix = 'the library of the running driver: --gpu-library, or its folder in the image'
const pollMs = 20

/** Reads NVML once. Waiting without a driver; undefined without the addon. */
export async function examineNvml(
  { root = '/', library = 'libnvidia-ml.so.1', timeoutMs = 5000 }: ExamineOptions = {},
): Promise<DoctorFact | undefined> {
  if (!(await findGpus(new Files(root))).driver) {
    return { name: 'nvml', state: 'waiting', detail: 'no driver is loaded', lost: '', fix: '' }
  }
  const nvml = openNvml()
  if (!nvml) return undefined
  nvml.begin({ library })
  for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += pollMs) {
    const answer = nvml.take()
    if (answer) return judgeNvml(answer)
    await sleep(pollMs)
  }
  const detail = `${library} does not answer: ${nvml.calling} for ${timeoutMs / 1000} s`
  return { name: 'nvml', state: 'missing', detail, lost, fix: 'look at the driver: dmesg' }
}

/** Judges what it answered. Pure. */
export function judgeNvml({
  failed, failed_status: status, detail, library, facts,
}: NvmlAnswer): DoctorFact {
  if (failed !== '') {
    const why = failed === 'dlopen' ? boundedText(detail) : nvmlReason(failed, status)
    return { name: 'nvml', state: 'missing', detail: why, lost, fix }
  }
  const version = facts.find(({ item }) => item === 'nvml_driver_version')?.value ?? ''
  const found = `${boundedText(library)} ${boundedText(version)}`.trim()
  const absent = new Set(facts.filter((one) => one.status === nvmlAbsent).map((one) => one.symbol))
  if (absent.size === 0) return { name: 'nvml', state: 'have', detail: found, lost: '', fix: '' }
  return {
    name: 'nvml', state: 'degraded', detail: found,
    lost: `what these functions tell, which this version lacks: ${[...absent].join(', ')}`, fix: '',
  }
}

function openNvml(): Nvml | undefined {
  try {
    return new Nvml()
  } catch (error) {
    if (error instanceof AddonMissingError) return undefined
    throw error
  }
}
