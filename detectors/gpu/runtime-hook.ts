import { defineDetector } from '../../detect/detector.ts'
import type { Severity } from '../../detect/finding.ts'
import { printable } from '../../detect/words.ts'
import type { EventViews } from '../../proto/gen/events.ts'
import { runtimeHookExamples } from './runtime-hook.examples.ts'
import { whoInWords } from './standing.ts'

type Event = EventViews['runtime_hook']
interface Verdict { word: string, text: string, severity: Severity }

/** The dynamic linker loads code by them before the program begins. */
const loading = new Set(['LD_PRELOAD', 'LD_AUDIT'])
/** Where the wrappers of the GPU operator look for the toolkit's libraries, and the system's. */
const ownLibraries =
  /^\/(?:usr\/local\/nvidia\/toolkit|run\/nvidia\/driver|usr\/lib(?:64)?)(?:\/|$)/

const [fires, quiet] = runtimeHookExamples

export default defineDetector({
  id: 'GPU-013',
  title: 'A container brings its own code into a hook of the container runtime',
  severity: 'critical',
  maturity: 'experimental',
  attack: ['T1611', 'T1574.006'],
  atlas: ['AML.T0105'],
  blindSpots: [
    'Hooks of other runtimes, or under other names than those of NVIDIA\'s container toolkit.',
    'A hook that is led astray by links and races of the file system (CVE-2024-0132, '
      + 'CVE-2025-23359): it runs no code of the container.',
    'A library that is read into memory without being mapped as a file.',
  ],
  runbook: 'The hook runs as root on the node, outside of the container: take the node as '
    + 'taken over. Stop what the image started, cordon the node, keep the image, and look at what '
    + 'the hook\'s descendants did. Then update the container toolkit (CVE-2025-23266 is closed '
    + 'in 1.17.8) and find out who pushed the image.',
  needs: ['runtime_hook'],
  settings: {},
  key: (event) => verdictOf(event) === null ? null : event.node_id,
  state: { initial: () => null, keysMax: 1000, idleMs: 60_000 },
  evaluate(event, _state, context) {
    const { word, text, severity } = verdictOf(event)!
    const { process } = context
    const { variable, value } = event
    context.report({
      key: `${word} ${variable} ${value}`, severity,
      tell: () => ({
        summary: `${whoInWords(process, event.node_id, context)}, a hook of the container ` +
          `runtime, ${text}`,
        details: {
          process: process === null ? null : context.describe(process), variable, value,
          value_cut: event.value_cut, environment_cut: event.environment_cut,
          inode: event.inode.toString(), device: event.device,
          fs_magic: event.fs_magic, in_container: event.in_container, reason: word,
        },
        next_steps: [
          `Cordon ${event.node_id}, stop the container that was being made, and keep its image.`,
          'Look at what the hook started: vedette events --kind process_exec.',
          'Update the NVIDIA container toolkit and the GPU operator.',
        ],
      }),
    })
  },
  examples: [...fires, ...quiet],
})

function verdictOf(event: Event): Verdict | null {
  const { variable, value } = event
  if (loading.has(variable)) {
    return { word: 'variable', severity: 'critical',
      text: `was started with ${variable}=${printable(value)}, which loads that code into it.` }
  }
  if (variable === 'LD_LIBRARY_PATH') {
    // Relative and empty parts are folders of whoever starts it: the container's.
    if (value !== '' && value.split(':').every((part) => ownLibraries.test(part))) return null
    return { word: 'library_path', severity: 'medium',
      text: `was told to look for its libraries in ${printable(value)}.` }
  }
  if (event.environment_cut) {
    return { word: 'environment', severity: 'medium',
      text: 'was started with more variables than were read: a place to hide LD_PRELOAD in.' }
  }
  if (event.inode === 0n) return null
  return { word: 'library', severity: event.in_container ? 'high' : 'critical',
    text: `mapped ${printable(value)}, which is not of the node, to run it.` }
}
