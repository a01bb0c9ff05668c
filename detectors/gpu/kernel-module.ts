import type { Context } from '../../detect/context.ts'
import { defineDetector } from '../../detect/detector.ts'
import type { Severity } from '../../detect/finding.ts'
import { printable, worseOf } from '../../detect/words.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { programOf } from '../actor.ts'
import { kernelModuleExamples } from './kernel-module.examples.ts'
import {
  isConfined, isOfSystem, shifted, standingInWords, standingOf, whoInWords,
} from './standing.ts'
import type { Standing } from './standing.ts'
import { isOlder } from './version.ts'

type Event = EventViews['kernel_module']

/** What a node loaded before. */
interface State {
  /** By name of a GPU's module: what it was. */
  drivers: Map<string, { version: string, identity: string }>
  /** Modules without a trusted signature that were told, `name srcversion`; the oldest leaves. */
  untrusted: Set<string>
}

/** One thing that is wrong with it. `settled`: an administrator in maintenance may do so. */
interface Reason { word: string, text: string, severity: Severity, settled: boolean }

const DRIVERS_MAX = 32
const UNTRUSTED_MAX = 256
const TAINT_FORCED = 1 << 1
const TAINT_OUT_OF_TREE = 1 << 12
const TAINT_UNSIGNED = 1 << 13
/** EPERM, EBADMSG, ENOKEY, EKEYEXPIRED, EKEYREVOKED, EKEYREJECTED. */
const signatureErrors = new Set([1, 74, 126, 127, 128, 129])
const driverName = /^(?:nvidia|gdrdrv)/
/** Also of the driver container of NVIDIA's GPU operator. */
const usualPath = /^(?:\/run\/nvidia\/driver)?\/(?:usr\/)?lib\/modules\//
const temporaryPath = /^\/(?:tmp|var\/tmp|dev\/shm|run\/user|home|root)\//
/** kmod is modprobe and insmod; udevadm is systemd-udevd; systemd loads a few by itself. */
const loaders = new Set(['kmod', 'modprobe', 'insmod', 'rmmod', 'udevadm', 'systemd-udevd',
  'systemd', 'systemd-modules-load', 'nvidia-modprobe', 'busybox'])

const [fires, quiet] = kernelModuleExamples

export default defineDetector({
  id: 'GPU-007',
  title: 'A kernel module that should not be loaded, or not by this process',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1547.006', 'T1014', 'T1562.010'],
  atlas: [],
  blindSpots: [
    'A module that was loaded before the agent started: its taint is part of the drift of GPU-001.',
    'A rebuilt driver with the same version and a signature that this kernel trusts: GPU-001 '
      + 'compares it with the baseline.',
    'Code that gets into the kernel in another way, such as eBPF or live patches.',
  ],
  runbook: 'Find out who loaded it and from where. A module runs with all rights of the kernel: '
    + 'if nobody can say what it is, the node can no longer be trusted, whatever it says of '
    + 'itself. Drain it, keep the file and its digest, and reinstall.',
  needs: ['kernel_module'],
  settings: {},
  key: (event) => event.node_id,
  state: {
    initial: (): State => ({ drivers: new Map(), untrusted: new Set() }),
    keysMax: 20_000,
    idleMs: 90 * 86_400_000,
  },
  evaluate(event, state, context) {
    const standing = standingOf(context.process, event.node_id, event.time_ms, context)
    const found = reasonsOf(event, state, standing, context)
    if (event.action === 'load') remember(event, state)
    const reasons = found.filter(({ settled }) => !(settled && standing === 'allowed'))
    if (reasons.length > 0) report(event, reasons, standing, context)
  },
  examples: [...fires, ...quiet],
})

function reasonsOf(event: Event, state: State, standing: Standing, context: Context): Reason[] {
  switch (event.action) {
    case 'load': return [...ofFile(event, state, context), ...ofDriver(event, state, standing),
      ...ofLoader(event, context)]
    case 'refused': return ofRefusal(event, context)
    case 'unload': return [...ofUnload(event, standing), ...ofLoader(event, context)]
    default: return []
  }
}

function ofFile(event: Event, { untrusted }: State, context: Context): Reason[] {
  const reasons: Reason[] = []
  const { taints, module } = event
  const path = pathOf(event, context)
  const isDriver = driverName.test(module)
  const usual = path === '' || event.path_cut || usualPath.test(path)
  if (!usual) {
    const severity = isDriver || temporaryPath.test(path) ? 'high' : 'medium'
    reasons.push({ word: 'path', text: `from ${printable(path)}`, severity, settled: true })
  }
  if ((taints & TAINT_FORCED) !== 0) {
    reasons.push({ word: 'forced', text: 'although it was not made for this kernel',
      severity: 'high', settled: false })
  }
  const unsigned = event.signature_trusted === 'no' || (taints & TAINT_UNSIGNED) !== 0
  // A driver that is built on the node has often no signature: of the same one it is told once.
  if (unsigned && !(usual && untrusted.has(identityOf(event)))) {
    reasons.push({ word: 'unsigned', text: 'without a signature that the kernel trusts',
      severity: 'medium', settled: false })
  } else if (!unsigned && !isDriver && (taints & TAINT_OUT_OF_TREE) !== 0 &&
    !untrusted.has(identityOf(event))) {
    reasons.push({ word: 'out_of_tree', text: 'which is not part of the kernel',
      severity: 'low', settled: true })
  }
  return reasons
}

/**
 * Where the module is from. insmod unpacks compressed ones by itself, and gives the kernel what is
 * in its memory: its arguments say the path.
 */
function pathOf({ path, path_cut }: Event, { process }: Context): string {
  if (path !== '' || path_cut || process === null) return path
  const [program, ...words] = process.args.split('\0')
  if (!/(?:^|\/)insmod$/.test(program)) return ''
  return words.find((word) => !word.startsWith('-') && !word.includes('=')) ?? ''
}

/** Another driver than before on the node. */
function ofDriver(event: Event, { drivers }: State, standing: Standing): Reason[] {
  const { module, version } = event
  const before = drivers.get(module)
  if (before === undefined || before.identity === identityOf(event)) return []
  if (isOlder(version, before.version)) {
    return [{ word: 'downgrade', severity: 'high', settled: false,
      text: `which is older than ${printable(before.version)}, the one before` }]
  }
  // Without administrators in the policy GPU-001 tells of the other version.
  if (standing === 'unsaid') return []
  return [{ word: 'changed', text: `in the place of ${printable(before.version || 'another one')}`,
    severity: standing === 'stranger' ? 'high' : 'medium', settled: true }]
}

function ofLoader(event: Event, context: Context): Reason[] {
  const { process } = context
  if (process === null) return []
  if (isConfined(process, event.in_container)) {
    return [{ word: 'container', text: 'out of a container', severity: 'high', settled: true }]
  }
  if (isLoader(context)) return []
  const fromMemory = event.action === 'load' && event.path === '' && !event.path_cut
  return [{ word: fromMemory ? 'memory' : 'program', settled: true,
    text: fromMemory ? 'out of its memory, with no file' : 'which does not do so on its own',
    severity: fromMemory ? 'high' : 'medium' }]
}

/** A tool of the system for modules; the kernel itself asks one, too. */
function isLoader({ process }: Context): boolean {
  if (process === null) return true
  // Exited before it could be looked at: by its name alone.
  if (process.exe === '') return loaders.has(programOf(process.comm))
  return isOfSystem(process) && loaders.has(programOf(process.exe))
}

function ofRefusal(event: Event, context: Context): Reason[] {
  const reasons = ofLoader(event, context)
  // Others are no attack: a missing device, a symbol of another kernel.
  if (!signatureErrors.has(event.error)) return reasons
  return [{ word: 'refused', text: `which the kernel refused (error ${event.error}): its `
    + 'signature, or a security policy', severity: 'medium', settled: false }, ...reasons]
}

function ofUnload({ module }: Event, standing: Standing): Reason[] {
  if (!driverName.test(module)) return []
  const severity = { allowed: 'low', unsaid: 'low', outside: 'medium', stranger: 'high' } as const
  return [{ word: 'unload', text: 'on which GPUs depend', severity: severity[standing],
    settled: true }]
}

function remember(event: Event, { drivers, untrusted }: State): void {
  const { module, version } = event
  const identity = identityOf(event)
  if (driverName.test(module)) {
    if (drivers.size >= DRIVERS_MAX && !drivers.has(module)) drivers.delete([...drivers.keys()][0])
    drivers.set(module, { version, identity })
  }
  if (event.signature_trusted === 'yes' && (event.taints & TAINT_OUT_OF_TREE) === 0) return
  if (untrusted.size >= UNTRUSTED_MAX) untrusted.delete([...untrusted][0])
  untrusted.add(identity)
}

function identityOf({ module, version, srcversion, sha256 }: Event): string {
  return `${module} ${version} ${srcversion} ${sha256}`
}

function report(event: Event, reasons: Reason[], standing: Standing, context: Context): void {
  const severity = reasons.map((one) => one.severity).reduce(worseOf)
  context.report({
    key: `${event.module} ${event.action} ${reasons.map(({ word }) => word).join(' ')}`,
    severity: standing === 'allowed' ? shifted(severity, -1) : severity,
    tell: () => tell(event, reasons, standing, context),
  })
}

function tell(event: Event, reasons: Reason[], standing: Standing, context: Context) {
  const { module, version, srcversion, taints, sha256, signature_trusted: signed } = event
  const path = pathOf(event, context)
  const verb = { load: 'loaded', unload: 'unloaded', refused: 'tried to load' }[event.action]
  const what = module === '' ? 'a kernel module' : `the kernel module ${printable(module)}` +
    (version === '' ? '' : ` ${printable(version)}`)
  const who = whoInWords(context.process, event.node_id, context)
  const words = standingInWords(standing)
  return {
    summary: `${who} ${verb} ${what}, ${reasons.map(({ text }) => text).join(', ')}.` +
      (words === '' ? '' : ` ${words}`),
    details: {
      process: context.process === null ? null : context.describe(context.process),
      module, version, srcversion, path, sha256, taints, signature_trusted: signed,
      error: event.error, in_container: event.in_container, standing,
      reasons: reasons.map(({ word }) => word),
    },
    next_steps: [
      `Look at what started it on ${event.node_id}, and at the file ${path}`.trimEnd() + '.',
      'If nobody can say what it is, drain the node: it cannot be asked any more.',
    ],
  }
}
