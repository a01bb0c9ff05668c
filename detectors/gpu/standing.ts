/** Who acts on GPUs and their drivers, and whether the policy says that they may. */
import type { Context } from '../../detect/context.ts'
import type { Severity } from '../../detect/finding.ts'
import type { LineageProcess } from '../../detect/lineage.ts'
import { printable } from '../../detect/words.ts'
import { actorInWords, programOf } from '../actor.ts'
import { isContained } from '../programs.ts'

/**
 * What the policy says of an act of administrators: `allowed`; `unsaid`, where it names none; an
 * administrator `outside` of maintenance; a `stranger`, who is no administrator.
 */
export type Standing = 'allowed' | 'unsaid' | 'outside' | 'stranger'

/** The files of the system, which nobody in a container writes. */
const systemPath = /^\/(?:usr\/(?:local\/)?)?(?:s?bin|lib(?:64|exec)?)\//
/** Of the driver, its services and its management. By NVIDIA's packages and GPU operator. */
const tools = new Set(['nvidia-smi', 'nvidia-persistenced', 'nvidia-modprobe', 'nv-hostengine',
  'dcgmi', 'dcgm-exporter', 'nv-fabricmanager', 'nvidia-imex', 'nvidia-cuda-mps-control',
  'nvidia-cuda-mps-server', 'nvidia-container-cli', 'nvidia-container-runtime',
  'nvidia-container-runtime-hook', 'nvidia-cdi-hook', 'nvidia-ctk', 'nvidia-device-plugin',
  'gpu-feature-discovery', 'nvidia-mig-parted', 'nvidia-mig-manager', 'k8s-cc-manager',
  'nvattest', 'nvidia-powerd', 'nvswitch-audit'])

/** `process` null: nobody is known, so that only the time can be judged. */
export function standingOf(
  process: LineageProcess | null, nodeId: string, timeMs: number, context: Context,
): Standing {
  const { policy: { gpus }, zones } = context
  const may = process === null ? null : gpus.mayAdminister(zones.factsOfProcess(process))
  if (may === false) return 'stranger'
  if (gpus.inMaintenance(timeMs, zones.groupOf(nodeId)) === false) return 'outside'
  return may === null ? 'unsaid' : 'allowed'
}

/** In a pod, a container or a job; `inContainer` is what the kernel saw. */
export function isConfined(process: LineageProcess | null, inContainer: boolean): boolean {
  return inContainer || (process !== null && isContained(process))
}

/** A program of the system itself, by its path. */
export function isOfSystem({ exe }: LineageProcess): boolean {
  return systemPath.test(exe)
}

/** A tool of the driver, installed on the node. By name and path: whoever is root can be it. */
export function isGpuTool(process: LineageProcess | null, inContainer: boolean): boolean {
  return process !== null && !inContainer && !isContained(process) && isOfSystem(process) &&
    (tools.has(programOf(process.exe)) ||
      tools.has(process.exe.slice(process.exe.lastIndexOf('/') + 1)))
}

/** `nobody known` on a node, or the process in words. */
export function whoInWords(
  process: LineageProcess | null, nodeId: string, context: Context,
): string {
  return process === null ? `Somebody on ${printable(nodeId)}` : actorInWords(process, context)
}

/** What the standing means, as the end of a sentence; '' when there is nothing to say. */
export function standingInWords(standing: Standing): string {
  return {
    allowed: '', unsaid: 'The policy names no administrators of GPUs.',
    outside: 'It is outside of every maintenance window of the policy.',
    stranger: 'The policy does not name it as an administrator of GPUs.',
  }[standing]
}

const order: readonly Severity[] = ['low', 'medium', 'high', 'critical']

/** So many steps more (or, negative, less) severe, within the scale. */
export function shifted(severity: Severity, steps: number): Severity {
  return order[Math.max(0, Math.min(order.length - 1, order.indexOf(severity) + steps))]
}
