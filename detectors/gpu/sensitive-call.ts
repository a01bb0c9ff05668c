import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity } from '../../detect/finding.ts'
import type { LineageProcess } from '../../detect/lineage.ts'
import { printable } from '../../detect/words.ts'
import { actorInWords, programOf } from '../actor.ts'
import { callOf, isBeyond, letsDebug, targetOf } from './call.ts'
import type { Call, CallEvent } from './call.ts'
import { isConfined, isGpuTool, standingInWords, standingOf } from './standing.ts'
import type { Standing } from './standing.ts'
import { sensitiveCallExamples } from './sensitive-call.examples.ts'

/** What there is to say against a call. */
interface Judgement { severity: Severity, standing: Standing, text: string }

/** They look into programs for those who write them. */
const developerTools = new Set(['cuda-gdb', 'cuda-gdbserver', 'nsys', 'nsys-launcher', 'ncu',
  'nvprof', 'nsight-compute', 'compute-sanitizer', 'cuda-memcheck', 'CUDBGProcess'])
/** It holds the contexts of several programs: MPS. */
const MPS_SERVER = 'nvidia-cuda-mps-server'

const [fires, quiet] = sensitiveCallExamples

export default defineDetector({
  id: 'GPU-010',
  title: 'A sensitive command to the driver of a GPU, by someone who should not give it',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1055.008', 'T1005', 'T1542.002', 'T1562.001'],
  atlas: ['AML.T0025'],
  blindSpots: [
    'Commands that no header names (those that tools hand to the firmware as they are): they are '
      + 'events, and judged by nobody.',
    'Memory that jobs share with each other by design: only where the policy gives one of them no '
      + 'GPU. Processes of one workload may debug each other.',
    'Where the policy names no administrators, tools of the driver on the node may do anything; '
      + 'what it changes is drift (GPU-001 to GPU-006).',
    'A driver that is not NVIDIA\'s, and a GPU that is driven past the driver (GPU-009).',
  ],
  runbook: 'Read what was asked and of whose memory. A debugger or profiler on another tenant\'s '
    + 'context reads its weights and prompts; a write to firmware, registers or the board survives '
    + 'the job. Stop the process, keep its files, and compare the GPU with its baseline.',
  needs: ['gpu_call'],
  settings: {},
  key: (event, context) => judge(event, context) === null
    ? null : `process ${context.process!.number}`,
  state: { initial: () => null, keysMax: 10_000, idleMs: 60_000 },
  evaluate(event, _state, context) {
    report(event, callOf(event)!, judge(event, context)!, context)
  },
  examples: [...fires, ...quiet],
})

/** Null: nothing to say against it. */
function judge(event: CallEvent, context: Context): Judgement | null {
  const { process } = context
  const call = process === null ? null : callOf(event)
  if (process === null || call === null) return null
  const matters = call.sensitivity === 'high' || call.sensitivity === 'medium'
  // What the driver refuses anyway is GPU-011.
  if (!matters || isBeyond(event, call)) return null
  const standing = standingOf(process, event.node_id, event.time_ms, context)
  if (standing === 'allowed') return null
  const found = call.foreign ? ofAnother(event, call, process, context)
    : call.ordinary && !letsDebug(event) ? ofSharing(event, process, context)
      : ofOwn(event, call, process, standing)
  return found === null ? null : { ...found, standing }
}

type Found = Omit<Judgement, 'standing'> | null

/** It aims at another process: its memory, or its work. */
function ofAnother(
  event: CallEvent, { sensitivity }: Call, process: LineageProcess, context: Context,
): Found {
  const program = process.exe.slice(process.exe.lastIndexOf('/') + 1)
  if (program === MPS_SERVER && isGpuTool(process, event.in_container)) return null
  const target = targetOf(event, context)
  const together = target !== null && target.uid === process.uid &&
    context.subjectOf(target) === context.subjectOf(process)
  const whom = target === null ? `pid ${event.target_pid}` : actorInWords(target, context)
  if (!together) {
    return { severity: sensitivity === 'high' ? 'high' : 'medium', text: ` of ${whom}` }
  }
  if (sensitivity !== 'high' || isDeveloperTool(process)) return null
  return { severity: 'low', text: ` of ${whom}, which belongs to the same workload` }
}

/** Part of compute: only of who may not compute. */
function ofSharing(event: CallEvent, process: LineageProcess, context: Context): Found {
  const { policy, zones } = context
  if (isGpuTool(process, event.in_container)) return null
  if (policy.gpus.mayUse(zones.factsOfProcess(process)) !== false) return null
  return { severity: 'medium', text: ', and the policy does not give it a GPU' }
}

function ofOwn(
  event: CallEvent, { sensitivity }: Call, process: LineageProcess, standing: Standing,
): Found {
  const tool = isGpuTool(process, event.in_container)
  if (standing === 'unsaid') {
    if (tool) return null
    if (sensitivity === 'medium') return isDeveloperTool(process) ? null : found('low')
    return found(isConfined(process, event.in_container) ? 'high' : 'medium')
  }
  if (sensitivity === 'medium') {
    return found(standing === 'outside' || tool || isDeveloperTool(process) ? 'low' : 'medium')
  }
  return found(standing === 'outside' || tool ? 'medium' : 'high')
}

function found(severity: Severity): Found {
  return { severity, text: '' }
}

function isDeveloperTool({ exe }: LineageProcess): boolean {
  return developerTools.has(programOf(exe)) ||
    developerTools.has(exe.slice(exe.lastIndexOf('/') + 1))
}

function report(
  event: CallEvent, call: Call, { severity, standing, text }: Judgement, context: Context,
): void {
  const process = context.process!
  const words = standingInWords(standing)
  context.report({
    key: `${process.exe} ${call.name} ${event.target_pid}`, severity,
    totals: { calls: event.count },
    tell: () => ({
      summary: `${actorInWords(process, context)} asked the GPU driver for ` +
        `${printable(call.name)}${text}.${words === '' ? '' : ` ${words}`}`,
      details: {
        process: context.describe(process), command: call.name, number: event.command,
        escape: event.escape, call_kind: event.call_kind, family: event.family,
        value: event.has_value ? event.value : null, target_pid: event.target_pid,
        target: describeTarget(event, context), refused: event.refused,
        cap_sys_admin: event.cap_sys_admin, in_container: event.in_container, standing,
        driver_branch: event.driver_branch,
      },
      next_steps: [
        `Look at pid ${process.pid} on ${process.node_id}, and at who started it.`,
        call.foreign ? `Ask who runs pid ${event.target_pid} whether they know of it.`
          : 'Compare the GPU with its baseline: vedette baseline check.',
      ],
    }),
  })
}

function describeTarget(event: CallEvent, context: Context) {
  const target = targetOf(event, context)
  return target === null ? null : context.describe(target)
}
