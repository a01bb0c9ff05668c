import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity } from '../../detect/finding.ts'
import { printable, worseOf } from '../../detect/words.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { actorInWords, programOf } from '../actor.ts'
import { deviceOpenExamples } from './device-open.examples.ts'
import { isConfined, isGpuTool, standingOf } from './standing.ts'

type Event = EventViews['gpu_device_open']
interface Reason { word: string, text: string, severity: Severity }

const MINOR_MASK = 0xfffff
const O_ACCMODE = 3
/** Minors of nvidia-caps: NVIDIA open-gpu-kernel-modules, nv-caps.c. */
const CAP_FABRIC = 0
const CAP_MIG_CONFIG = 1
/** What a workload computes with, or reaches its memory through. */
const givenFamilies = new Set(['nvidia', 'nvidiactl', 'nvidia_modeset', 'nvidia_uvm',
  'nvidia_uvm_tools', 'nvidia_caps', 'nvidia_caps_imex_channels', 'nvidia_nvswitch',
  'nvidia_nvlink', 'nvidia_vgpu', 'nvidia_fs', 'gdrdrv'])
/** Also of the driver container of NVIDIA's GPU operator. */
const usualPath = /^(?:\/run\/nvidia\/driver|\/driver-root)?\/dev\//
/** They read the tables of the firmware through /dev/mem. */
const inventories = new Set(['dmidecode', 'biosdecode', 'vpddecode', 'lshw', 'hwinfo', 'acpidump'])
const debuggers = new Set(['cuda-gdb', 'cuda-gdbserver', 'nsys', 'ncu', 'compute-sanitizer',
  'nvprof', 'cuda-memcheck'])

const [fires, quiet] = deviceOpenExamples

export default defineDetector({
  id: 'GPU-009',
  title: 'A device of a GPU is opened by who was not given it',
  severity: 'medium',
  maturity: 'experimental',
  attack: ['T1611', 'T1006', 'T1496.001'],
  atlas: ['AML.T0034'],
  blindSpots: [
    'Without `gpus: users:` in the policy nobody is known not to be given a GPU.',
    'Which of several GPUs a workload was given: one that was given another one is not seen.',
    'A descriptor of an open device that one process hands to another one.',
    'A program that root puts in the place of a tool of the driver, such as nvidia-smi.',
  ],
  runbook: 'Find out how the workload came by the device: a privileged container, a host path, '
    + 'NVIDIA_VISIBLE_DEVICES=all, a node made with mknod. Whoever has the device can talk to the '
    + 'driver of all GPUs, and only the driver keeps the tenants apart. Take the device away '
    + 'first, then look at what was asked of it (`vedette events --kind gpu_call`).',
  needs: ['gpu_device_open'],
  settings: {},
  key: (event, context) => context.process === null || reasonsOf(event, context).length === 0
    ? null : `process ${context.process.number}`,
  state: { initial: () => null, keysMax: 10_000, idleMs: 60_000 },
  evaluate(event, _state, context) {
    report(event, reasonsOf(event, context), context)
  },
  examples: [...fires, ...quiet],
})

function reasonsOf(event: Event, context: Context): Reason[] {
  const process = context.process!
  if (standingOf(process, event.node_id, event.time_ms, context) === 'allowed') return []
  const tool = isGpuTool(process, event.in_container)
  return [...ofUser(event, tool, context), ...ofPath(event, tool),
    ...ofFamily(event, tool, context)]
}

function ofUser(event: Event, tool: boolean, context: Context): Reason[] {
  const process = context.process!
  if (tool || !givenFamilies.has(event.family)) return []
  const { policy, zones } = context
  if (policy.gpus.mayUse(zones.factsOfProcess(process)) !== false) return []
  const confined = isConfined(process, event.in_container)
  return [{ word: 'not_given', text: 'The policy does not give it a GPU.',
    severity: confined ? 'high' : 'medium' }]
}

function ofPath({ path, path_cut, family }: Event, tool: boolean): Reason[] {
  const isNode = family !== 'pci_resource' && path !== '' && !path_cut
  if (!isNode || tool || usualPath.test(path)) return []
  return [{ word: 'path', severity: 'high',
    text: 'That is no place of devices: somebody made a node for it.' }]
}

function ofFamily(event: Event, tool: boolean, context: Context): Reason[] {
  const process = context.process!
  const { family, in_container } = event
  const confined = isConfined(process, in_container)
  switch (family) {
    case 'nvidia_caps': {
      const minor = event.device & MINOR_MASK
      if (tool || (minor !== CAP_FABRIC && minor !== CAP_MIG_CONFIG)) return []
      const what = minor === CAP_FABRIC ? 'manage the fabric of all GPUs' : 'partition GPUs (MIG)'
      return [{ word: 'capability', text: `It is the right to ${what}.`,
        severity: confined ? 'high' : 'medium' }]
    }
    case 'nvidia_uvm_tools':
      if (tool || debuggers.has(programOf(process.exe))) return []
      return [{ word: 'tools', severity: 'medium',
        text: 'Debuggers and profilers watch the memory of others through it.' }]
    case 'mem': {
      const reads = (event.open_flags & O_ACCMODE) === 0
      if (reads && !confined && inventories.has(programOf(process.exe))) return []
      return [{ word: 'memory', severity: reads && !confined ? 'medium' : 'high',
        text: 'It is all of the physical memory, registers of GPUs included.' }]
    }
    case 'pci_resource':
      return [{ word: 'registers', severity: 'high',
        text: 'It is the registers and the memory of the GPU itself, past its driver.' }]
    default: return []
  }
}

function report(event: Event, reasons: Reason[], context: Context): void {
  const process = context.process!
  const { path, family } = event
  context.report({
    key: `${process.exe} ${family} ${reasons.map(({ word }) => word).join(' ')}`,
    severity: reasons.map((one) => one.severity).reduce(worseOf),
    tell: () => ({
      summary: `${actorInWords(process, context)} ` +
        `${event.at_start ? 'has' : 'opened'} ${printable(path || family)}` +
        `${event.at_start ? ' open' : ''}. ${reasons.map(({ text }) => text).join(' ')}`,
      details: {
        process: context.describe(process), path, family, device: event.device,
        open_flags: event.open_flags, file_mode: event.file_mode,
        cap_sys_admin: event.cap_sys_admin, in_container: event.in_container,
        at_start: event.at_start, reasons: reasons.map(({ word }) => word),
      },
      next_steps: [
        `Look at pid ${process.pid} on ${process.node_id}, and at what gave it the device.`,
        `See what it asked of the driver: vedette events --kind gpu_call --node ${
          process.node_id}.`,
      ],
    }),
  })
}
