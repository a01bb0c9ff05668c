import type { Context } from '../../../detect/context.ts'
import { defineDetector } from '../../../detect/detector.ts'
import type { Severity, Story } from '../../../detect/finding.ts'
import { printable } from '../../../detect/words.ts'
import type { EventViews } from '../../../proto/gen/events.ts'
import { actorInWords } from '../../actor.ts'
import { digestExamples } from './digest.examples.ts'
import { carriesCode, isText } from './formats.ts'

type Event = EventViews['artifact_digest']
/** Of the file itself, or of the manifest that should say what it holds. */
type Problem = 'differs' | 'not_listed' | 'manifest_untrusted' | 'manifest_unreadable'

const [fires, quiet] = digestExamples

export default defineDetector({
  id: 'STO-010',
  title: 'An artifact is not what its manifest says',
  severity: 'high',
  maturity: 'experimental',
  attack: ['T1565.001', 'T1554', 'T1195.002'],
  atlas: ['AML.T0018', 'AML.T0010.003'],
  blindSpots: [
    'Files are hashed after they were read, within a budget: what is loaded runs before it is '
      + 'told, and very large files may be read for hours. `artifact_digest` events say what was '
      + 'not read, and why.',
    'A process that reads many files names only some of them; others are looked at only where the '
      + 'manifest lists them.',
    'A file that is put back before it is hashed.',
    'Manifests that were signed by an identity instead of a key are not verified: then nothing is '
      + 'known, and `artifact_digest` says unknown.',
    'Whoever has the key of the manifest.',
  ],
  runbook: 'Let nothing load the file, and keep a copy of it. Compare its digest with that of the '
    + 'release it should be. If the files are new and the manifest is old, sign them again; a '
    + 'manifest that somebody else signed is worth less than none.',
  needs: ['artifact_digest'],
  settings: {},
  key: (event, context) => context.policy.stores.get(event.store) === null ||
    problemOf(event) === null ? null : event.store,
  state: { initial: () => null, keysMax: 1000, idleMs: 3_600_000 },
  evaluate(event, _state, context) {
    const problem = problemOf(event)!
    const { process } = context
    const ofManifest = problem.startsWith('manifest')
    context.report({
      key: `${event.store} ${ofManifest ? problem : event.path}`,
      // Files that nobody is known to have read belong to their store.
      subject: process === null ? `store ${event.store}` : undefined,
      severity: severityOf(event, problem), stores: [event.store],
      tell: () => tell(event, problem, context),
    })
  },
  examples: [...fires, ...quiet],
})

/** The reason of a manifest that is no good begins with a word for it. */
function problemOf({ verdict, reason }: Event): Problem | null {
  if (verdict === 'differs' || verdict === 'not_listed') return verdict
  if (verdict !== 'unknown' || !reason.startsWith('manifest_')) return null
  return reason.startsWith('manifest_untrusted:') ? 'manifest_untrusted' : 'manifest_unreadable'
}

function severityOf({ path, key_id: keyId }: Event, problem: Problem): Severity {
  if (problem === 'manifest_untrusted') return 'high'
  if (problem === 'manifest_unreadable') return 'medium'
  if (problem === 'differs') return keyId === '' ? 'medium' : 'high'
  if (isText(path)) return 'low'
  return carriesCode(path) ? 'high' : 'medium'
}

function tell(event: Event, problem: Problem, context: Context): Story {
  const { path, store, reason, sha256, bytes, verdict } = event
  const { process } = context
  const who = process === null ? '' : ` ${actorInWords(process, context)} used it.`
  const file = `${printable(path)} of the store ${printable(store)}`
  const manifest = printable(event.manifest_path)
  const signed = event.key_id === '' ? ' (which nobody had to sign)' : ''
  const why = printable(reason.replace(/^manifest_\w+: /, ''), 300)
  const summary = {
    differs: `${file} is not what ${manifest}${signed} says: ${why}.`,
    not_listed: `${file} is not in the manifest ${manifest}${signed}: nobody said that it ` +
      'belongs to it.',
    manifest_untrusted: `The manifest ${manifest} of the store ${printable(store)} is not signed ` +
      `by who must sign it: ${why}`,
    manifest_unreadable:
      `The manifest ${manifest} of the store ${printable(store)} says nothing: ${why}`,
  }[problem]
  return {
    summary: summary + who,
    details: {
      process: process === null ? null : context.describe(process), store, path, bytes, sha256,
      verdict, reason, manifest_path: event.manifest_path, key_id: event.key_id,
      carries_code: carriesCode(path),
    },
    next_steps: problem.startsWith('manifest') ? [
      `Compare ${manifest} with the one that was published, and look who changed it (STO-009).`,
      'Until it is right again, nothing is known of the files of the store.',
    ] : [
      'Stop what loaded the file, and let nothing load it again.',
      'Look who changed the store (STO-009), and compare the file with the release.',
    ],
  }
}
