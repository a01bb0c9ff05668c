/** The catalogue. */
import type { Detector } from '../detect/detector.ts'
import cloudMetadata from './cloud-metadata.ts'
import connectionScan from './connection-scan.ts'
import controlPlane from './control-plane.ts'
import firstSeen from './first-seen.ts'
import gpuConfidentialDrift from './drift/confidential.ts'
import gpuDriverDrift from './drift/driver.ts'
import gpuFirmwareDrift from './drift/firmware.ts'
import gpuHostDrift from './drift/host.ts'
import gpuModeDrift from './drift/mode.ts'
import gpuProtectionDrift from './drift/protection.ts'
import gpuDeviceOpen from './gpu/device-open.ts'
import gpuDriverError from './gpu/driver-error.ts'
import gpuDriverSetting from './gpu/driver-setting.ts'
import gpuEvidence from './gpu/evidence.ts'
import gpuExploitAttempt from './gpu/exploit-attempt.ts'
import gpuFirmwareLoad from './gpu/firmware-load.ts'
import gpuKernelModule from './gpu/kernel-module.ts'
import gpuRuntimeHook from './gpu/runtime-hook.ts'
import gpuSensitiveCall from './gpu/sensitive-call.ts'
import lateralChain from './lateral-chain.ts'
import listener from './listener.ts'
import rdmaPeer from './rdma-peer.ts'
import remoteExecution from './remote-execution.ts'
import reverseShell from './reverse-shell.ts'
import serviceAccountToken from './service-account-token.ts'
import storeDigest from './stores/artifacts/digest.ts'
import storeMassChange from './stores/artifacts/mass-change.ts'
import storePickleLoad from './stores/artifacts/pickle-load.ts'
import storeTampering from './stores/artifacts/tampering.ts'
import storeBulkRead from './stores/bulk-read.ts'
import storeFirstReader from './stores/first-reader.ts'
import storeReadThenSend from './stores/read-then-send.ts'
import storeStaging from './stores/staging.ts'
import storeSweep from './stores/sweep.ts'
import storeTrickle from './stores/trickle.ts'
import storeUnlistedReader from './stores/unlisted-reader.ts'
import storeWeightsReader from './stores/weights-reader.ts'
import tunnel from './tunnel.ts'
import zoneViolation from './zone-violation.ts'

/** Every detector, by id. */
export const detectors: readonly Detector[] = [
  gpuDriverDrift,
  gpuFirmwareDrift,
  gpuProtectionDrift,
  gpuConfidentialDrift,
  gpuModeDrift,
  gpuHostDrift,
  gpuKernelModule,
  gpuFirmwareLoad,
  gpuDeviceOpen,
  gpuSensitiveCall,
  gpuExploitAttempt,
  gpuDriverError,
  gpuRuntimeHook,
  gpuDriverSetting,
  gpuEvidence,
  zoneViolation,
  lateralChain,
  connectionScan,
  firstSeen,
  remoteExecution,
  reverseShell,
  cloudMetadata,
  controlPlane,
  serviceAccountToken,
  tunnel,
  rdmaPeer,
  listener,
  storeFirstReader,
  storeBulkRead,
  storeSweep,
  storeUnlistedReader,
  storeWeightsReader,
  storeStaging,
  storeReadThenSend,
  storeTrickle,
  storeTampering,
  storeDigest,
  storePickleLoad,
  storeMassChange,
]
