import { bulkRead } from './bulk-read.ts'
import type { Drill } from './drill.ts'
import { firmwareDrift } from './firmware-drift.ts'
import { gpuProbe } from './gpu-probe.ts'
import { lateralChain } from './lateral-chain.ts'
import { metadataAccess } from './metadata-access.ts'
import { modelTamper } from './model-tamper.ts'
import { moduleLoad } from './module-load.ts'
import { rdmaPeer } from './rdma-peer.ts'
import { readThenSend } from './read-then-send.ts'
import { reverseShell } from './reverse-shell.ts'
import { scan } from './scan.ts'
import { zoneViolation } from './zone-violation.ts'

/** Every drill, in the order in which `vedette drill` lists them. */
export const drills: readonly Drill[] = [
  zoneViolation,
  lateralChain,
  scan,
  reverseShell,
  metadataAccess,
  rdmaPeer,
  moduleLoad,
  firmwareDrift,
  gpuProbe,
  bulkRead,
  readThenSend,
  modelTamper,
]
