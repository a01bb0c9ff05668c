import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Engine } from '../../detect/engine.ts'
import { batchesOf, eventsOf } from '../../detect/example.ts'
import type { IncidentFinding } from '../../detect/incident.ts'
import { baseline, baselinePolicy, gpu } from '../drift/samples.ts'
import type { ExampleEvent } from '../../detect/detector.ts'
import gpuEvidence from './evidence.ts'

const samples = join(import.meta.dirname, '../../../shared/data/attestation')
const reason = existsSync(samples) ? '' : 'real attestation samples are not beside this checkout'
if (reason) console.warn(`SKIPPED: ${reason}`)

function readSample(): { evidence: string, certificate: string, nonce: string } {
  return JSON.parse(readFileSync(join(samples, 'hopper_evidence.json'), 'utf8'))[0]
}

describe.skipIf(reason)(`evidence of real GPUs ${reason}`, () => {
  const given = reason ? { evidence: '', certificate: '', nonce: '' } : readSample()
  const genuine = {
    subject: gpu, nonce: given.nonce, report: given.evidence,
    certificate_chain: Buffer.from(given.certificate, 'base64').toString('latin1'),
  }

  function findingsOf(changed: Partial<typeof genuine>, before: ExampleEvent[] = []): IncidentFinding[] {
    const engine = new Engine({ detectors: [gpuEvidence] })
    const events = eventsOf({ policy: before.length > 0 ? baselinePolicy : undefined, events: [
      ...before, { kind: 'gpu_evidence', at_ms: 1000, values: { ...genuine, ...changed } }] })
    batchesOf(events).forEach((batch, i) => engine.ingest(batch, i))
    return engine.incidents().flatMap(({ findings }) => findings)
  }

  it('is quiet for a genuine one, although nobody said that it was not revoked', () => {
    expect(findingsOf({})).toEqual([])
  })

  it('says that a byte of the report was changed', () => {
    const bytes = Buffer.from(genuine.report, 'base64')
    bytes[bytes.length - 1] ^= 1
    expect(findingsOf({ report: bytes.toString('base64') })).toMatchObject([{
      severity: 'critical', summary: expect.stringContaining('signature: it was not made by the key'),
    }])
  })

  it('says that it is the answer to another question', () => {
    expect(findingsOf({ nonce: 'ab'.repeat(32) })).toMatchObject([{
      severity: 'critical', summary: expect.stringContaining('nonce:'),
    }])
  })

  it('says that it is of another driver than the baseline wants, and of roots that it pins', () => {
    const wanted = baseline(0, '  - {subject: driver, item: version, value: "1.2.3"}\n')
    expect(findingsOf({}, [wanted])).toMatchObject([{
      severity: 'high', summary: expect.stringMatching(/driver_version: [\d.]+, not 1\.2\.3/),
    }])
    const pinned = baseline(0, '  - {subject: host, item: lockdown, value: none}\n'
      + `evidence: {roots: ["${'00'.repeat(32)}"]}\n`)
    expect(findingsOf({}, [pinned])).toMatchObject([{
      severity: 'critical', summary: expect.stringContaining('certificate_chain'),
    }])
  })
})
