/** Names of the cluster, where there is one. */
import { accessOf } from '../../kubernetes/access.ts'
import type { CorrelatorSettings } from '../config.ts'
import type { EventLog } from '../event-log.ts'
import type { Incidents } from '../incidents.ts'
import type { SequenceTable } from '../ingest/sequences.ts'
import { appendOwn } from '../policy/own-batch.ts'
import { ClusterNames } from './cluster-names.ts'
import { saysAlready } from './known.ts'

/** Undefined outside of a cluster. Throws KubernetesError for settings that cannot be used. */
export function startClusterNames(
  settings: CorrelatorSettings,
  parts: { log: EventLog, sequences: SequenceTable, incidents: Incidents },
  report: (line: string) => void,
): ClusterNames | undefined {
  const access = accessOf(settings)
  if (access === undefined) return undefined
  const { incidents } = parts
  let written = 0
  const names = new ClusterNames({
    access, report,
    write(addresses) {
      written = appendOwn(parts, addresses.map((values) => ({ kind: 'address_seen', values })))
    },
    caughtUp: () => incidents.position >= written,
    isKnown: (address) => saysAlready(incidents.engine.known, address),
  })
  names.start()
  return names
}
