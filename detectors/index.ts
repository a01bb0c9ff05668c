/** The catalogue. */
import type { Detector } from '../detect/detector.ts'
import connectionScan from './connection-scan.ts'
import firstSeen from './first-seen.ts'
import listener from './listener.ts'
import rdmaPeer from './rdma-peer.ts'
import tunnel from './tunnel.ts'
import zoneViolation from './zone-violation.ts'

/** Every detector, by id. */
export const detectors: readonly Detector[] = [
  zoneViolation,
  connectionScan,
  firstSeen,
  tunnel,
  rdmaPeer,
  listener,
]
