import type { DetectorDefaults } from '../policy/thresholds.ts'
import { detectors } from './index.ts'

/** The thresholds that a policy can change, with the detectors' own values, by detector id. */
export const detectorDefaults: DetectorDefaults =
  new Map(detectors.map(({ id, settings }) => [id, settings]))
