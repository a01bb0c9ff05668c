/** Stores of artifacts, and who makes and loads them, in examples. */
import type { ExampleEvent } from '../../../detect/detector.ts'
import type { ArtifactDigest, Process } from '../../../proto/gen/events.ts'
import { inJob, inPod, ofUnit } from '../../gpu/example-actors.ts'

/** A registry that one pipeline writes, weights with a manifest, checkpoints of jobs. */
export const artifactPolicy = `version: 1
zones:
  - name: inference
    exposure: public
    match: { workloads: ["pod:serve/*"], cidrs: [10.30.0.0/16] }
  - name: pipeline
    exposure: internal
    match: { workloads: ["pod:ci/*"], cidrs: [10.40.0.0/16] }
flows:
  - { from: inference, to: pipeline, ports: [8443], reason: models are asked for }
stores:
  - name: registry
    kind: registry
    sensitivity: internal
    paths: [/data/registry]
    writers: { zones: [pipeline] }
    expected: { files: 1000 }
  - name: llama
    kind: weights
    sensitivity: confidential
    paths: [/data/llama]
    manifest: /data/llama/model.sig
    writers: { workloads: ["pod:ci/*"] }
  - name: runs
    kind: checkpoints
    sensitivity: internal
    paths: [/data/runs]
`
export const pipeline = inPod(700, '/usr/bin/python3', 'pod:ci/build-7')
export const server = inPod(701, '/usr/bin/python3', 'pod:serve/llm-0')
export const training = inJob(702, '/usr/bin/python3')
export const shell = ofUnit(703, '/usr/bin/bash', 'ssh.service')
/** Days of the examples in which something is learned. */
export const DAY_MS = 86_400_000

/** A file of a store was hashed. */
export function digest(
  at_ms: number, verdict: string, values: Partial<ArtifactDigest> = {}, process?: Partial<Process>,
): ExampleEvent {
  return { kind: 'artifact_digest', at_ms, process, values: {
    path: '/data/llama/model-1.safetensors', store: 'llama', bytes: 5_000_000_000, verdict,
    sha256: '11'.repeat(32), manifest_path: '/data/llama/model.sig', key_id: '22'.repeat(32),
    inode: 9n, device: 8 << 20 | 1, ...values,
  } }
}
