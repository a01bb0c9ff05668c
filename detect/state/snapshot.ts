/** The state of an engine as bytes. A cache: when it cannot be read, the log is replayed. */
import { Packr } from 'msgpackr'
import type { CoverageSnapshot } from '../coverage.ts'
import type { GpuStatesSnapshot } from '../gpu/gpu-states.ts'
import type { GraphSnapshot } from '../graph/graph.ts'
import type { IncidentTableSnapshot } from '../incident-table.ts'
import type { KeyedStateSnapshot } from './keyed-state.ts'
import type { LineageSnapshot } from '../lineage.ts'
import type { AddressNamesSnapshot } from '../names/address-names.ts'
import type { SourceSnapshot } from '../names/source-table.ts'
import type { StoreStatesSnapshot } from '../stores/store-states.ts'

/** All state of an engine, plain data. Changing the shape of any part changes `version`. */
export interface EngineState {
  watermarkMs: number
  nextTickMs: number
  policyText: string
  counted: Record<string, number>
  sources: SourceSnapshot
  coverage: CoverageSnapshot
  lineage: LineageSnapshot
  graph: GraphSnapshot
  names: AddressNamesSnapshot
  gpus: GpuStatesSnapshot
  stores: StoreStatesSnapshot
  incidents: IncidentTableSnapshot
  detectors: { id: string; findings: number; muted: number; states: KeyedStateSnapshot }[]
}

const version = 13

/** A snapshot that cannot be used: damaged, or of another version. Replay the log instead. */
export class SnapshotError extends Error {
  readonly code = 'SNAPSHOT_UNREADABLE'
}

/** Keeps Map, Set, bigint and shared objects as they are. */
function packr(): Packr {
  return new Packr({ structuredClone: true })
}

export function packState(state: EngineState): Uint8Array {
  return packr().pack({ version, ...state })
}

/** @throws SnapshotError */
export function unpackState(bytes: Uint8Array): EngineState {
  let state: EngineState & { version: number }
  try {
    state = packr().unpack(bytes) as EngineState & { version: number }
  } catch (cause) {
    const reason = (cause as Error).message
    throw new SnapshotError(`engine snapshot cannot be read: ${reason}; replay the log`, { cause })
  }
  if (state?.version !== version) {
    throw new SnapshotError(
      `engine snapshot has version ${String(state?.version)}, not ${version}; replay the log`)
  }
  return state
}
