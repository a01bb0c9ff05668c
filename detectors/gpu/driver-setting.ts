import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity } from '../../detect/finding.ts'
import { printable } from '../../detect/words.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { driverSettingExamples } from './driver-setting.examples.ts'
import {
  isConfined, isGpuTool, shifted, standingInWords, standingOf, whoInWords,
} from './standing.ts'
import type { Standing } from './standing.ts'

type Event = EventViews['driver_setting'] | EventViews['gpu_call']
interface Meaning { word: string, text: string, severity: Severity }

/** By the path of the file, from the root of sysfs or procfs; the first that matches. */
const meanings: readonly [RegExp, Meaning][] = [
  [/^\/module\/firmware_class\/parameters\/path$/,
    { word: 'firmware_path', text: 'where the kernel looks for firmware', severity: 'high' }],
  [/^\/module\/vfio\/parameters\/enable_unsafe_noiommu_mode$/,
    { word: 'noiommu', text: 'that programs may drive devices with no IOMMU', severity: 'high' }],
  [/^\/driver\/nvidia\/(?:gpus\/[^/]+\/)?registry$/,
    { word: 'registry', text: 'the registry of the GPU driver', severity: 'high' }],
  [/^\/driver\/nvidia\/suspend$/,
    { word: 'suspend', text: 'that the GPUs stop', severity: 'low' }],
  [/\/(?:bind|unbind|driver_override|new_id|remove_id)$/,
    { word: 'driver', text: 'which driver a GPU has', severity: 'high' }],
  [/\/(?:remove|rescan)$/,
    { word: 'remove', text: 'that a GPU is taken from the system', severity: 'medium' }],
  [/\/(?:reset|reset_method)$/, { word: 'reset', text: 'that a GPU is reset', severity: 'medium' }],
  [/\/(?:config|resource\d+(?:_wc|_resize)?|rom)$|^\/bus\/pci\//,
    { word: 'configuration', text: 'the configuration of a GPU\'s bus', severity: 'high' }],
  [/^\/module\//, { word: 'parameter', text: 'a parameter of a driver', severity: 'medium' }],
]
const other: Meaning = { word: 'other', text: 'a setting of the driver', severity: 'low' }
const mapped: Meaning =
  { word: 'mapped', text: 'physical memory or registers of a GPU into its own', severity: 'high' }
/** Attributes of devices of which udev and power management write every day. */
const everyday = /\/power\/(?:control|autosuspend_delay_ms|wakeup)$|\/uevent$|\/numa_node$/
/** The driver container of NVIDIA's GPU operator sets this one. */
const operatorPath = /^\/run\/nvidia\/driver\/lib\/firmware\n?$/

const [fires, quiet] = driverSettingExamples

export default defineDetector({
  id: 'GPU-014',
  title: 'A setting of a GPU\'s driver is changed, or a GPU taken from it',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1562.001', 'T1542.002', 'T1006'],
  atlas: [],
  blindSpots: [
    'Settings that come with the start of the node or of the driver (kernel command line, '
      + 'modprobe.d): GPU-001 sees the values that result.',
    'What is done to the registers of a GPU once they are mapped.',
  ],
  runbook: 'Find out who wrote it and put it back. With another search path the GPU runs other '
    + 'firmware the next time; without its driver a GPU obeys whoever has its registers, and '
    + 'nothing of what it is told is seen any more.',
  needs: ['driver_setting', 'gpu_call'],
  settings: {},
  key: (event, context) => meaningOf(event) === null ||
    judge(event, meaningOf(event)!, context) === null ? null : event.node_id,
  state: { initial: () => null, keysMax: 10_000, idleMs: 60_000 },
  evaluate(event, _state, context) {
    const meaning = meaningOf(event)!
    const { standing, severity } = judge(event, meaning, context)!
    report(event, meaning, standing, severity, context)
  },
  examples: [...fires, ...quiet],
})

function meaningOf(event: Event): Meaning | null {
  if (event.kind === 'gpu_call') {
    const { call_kind: kind, family } = event
    return kind === 'mmap' && (family === 'mem' || family === 'pci_resource') ? mapped : null
  }
  if (everyday.test(event.setting)) return null
  return meanings.find(([pattern]) => pattern.test(event.setting))?.[1] ?? other
}

/** Null: nobody minds. */
function judge(
  event: Event, meaning: Meaning, context: Context,
): { standing: Standing, severity: Severity } | null {
  const { process } = context
  const standing = standingOf(process, event.node_id, event.time_ms, context)
  const confined = isConfined(process, event.in_container)
  if (standing === 'allowed') return null
  // Tools of the driver, where nobody said who may.
  if (standing === 'unsaid' && isGpuTool(process, event.in_container)) return null
  const operator = event.kind === 'driver_setting' && meaning.word === 'firmware_path' &&
    operatorPath.test(event.value)
  if (operator) return standing === 'unsaid' ? null : { standing, severity: 'medium' }
  const steps = (confined ? 1 : 0) - (standing === 'outside' ? 1 : 0)
  return { standing, severity: shifted(meaning.severity, steps) }
}

function report(
  event: Event, meaning: Meaning, standing: Standing, severity: Severity, context: Context,
): void {
  const { process } = context
  const setting = event.kind === 'gpu_call' ? event.family : event.setting
  const value = event.kind === 'gpu_call' ? '' : event.value
  const words = standingInWords(standing)
  const done = event.kind === 'gpu_call' ? `maps ${meaning.text}`
    : `set ${meaning.text}: ${printable(setting)} to "${printable(value.trim(), 128)}"`
  context.report({
    key: `${meaning.word} ${setting}`, severity,
    tell: () => ({
      summary: `${whoInWords(process, event.node_id, context)} ${done}.` +
        (words === '' ? '' : ` ${words}`),
      details: {
        process: process === null ? null : context.describe(process), setting, value,
        in_container: event.in_container, standing, reason: meaning.word,
      },
      next_steps: [
        `Put the setting back on ${event.node_id}, and look at what started the process.`,
        'Look at what followed: firmware that was loaded (GPU-008), devices that were opened '
          + '(GPU-009).',
      ],
    }),
  })
}
