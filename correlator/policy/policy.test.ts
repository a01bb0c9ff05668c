import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { policyDigest } from '../../policy/digest.ts'
import { LogError } from '../../log/errors.ts'
import { openLog } from '../../log/writer.ts'
import { SAMPLE_OPTIONS } from '../../log/sample-log.ts'
import { CorrelatorError } from '../errors.ts'
import { QueryClient } from '../sample/query-client.ts'
import { startSample, withData } from '../sample/sample-correlator.ts'
import type { SampleCorrelator } from '../sample/sample-correlator.ts'

const zone = (name: string) => 'version: 1\nzones:\n'
  + `  - name: ${name}\n    exposure: internal\n    match: { cidrs: [10.0.0.0/8] }\n`

/** Digests of the policies in the log, when there are `count`. */
async function applied({ grpc_port }: SampleCorrelator, count: number): Promise<unknown[]> {
  const query = new QueryClient(grpc_port)
  const answer = query.events({ kinds: ['policy_applied'], follow: true, from_ms: 1 })
  await answer.until(() => answer.lines.length >= count)
  answer.cancel()
  query.close()
  return answer.lines.map(({ sha256 }) => sha256)
}

const codeOf = (error: unknown): string =>
  error instanceof CorrelatorError || error instanceof LogError ? error.code : String(error)

describe('the policy in force', () => {
  it('is in the log once, however often the correlator starts', () => withData(async (data) => {
    const policy = join(data, 'vedette.yaml')
    writeFileSync(policy, zone('training'))
    for (let i = 0; i < 3; i++) {
      const correlator = await startSample({ data, policy })
      expect(await applied(correlator, 1)).toEqual([policyDigest(zone('training'))])
      await correlator.stop()
    }
    const without = await startSample({ data })
    expect((await applied(without, 2)).length).toBe(2)
    await without.stop()
  }))

  it('changes when the file is replaced or written again', () => withData(async (data) => {
    const policy = join(data, 'vedette.yaml')
    writeFileSync(policy, zone('training'))
    const correlator = await startSample({ data: join(data, 'd'), policy })
    writeFileSync(`${policy}.new`, zone('storage'))
    renameSync(`${policy}.new`, policy)
    await applied(correlator, 2)
    writeFileSync(policy, zone('inference'))
    expect(await applied(correlator, 3)).toEqual(['training', 'storage', 'inference'].map(zone).map(policyDigest))
    await correlator.stop()
  }))

  it('changes on SIGHUP, also where no change of the file is seen', () => withData(async (data) => {
    const [target, policy] = [join(data, 'elsewhere', 'policy'), join(data, 'vedette.yaml')]
    mkdirSync(join(data, 'elsewhere'))
    writeFileSync(target, zone('training'))
    symlinkSync(target, policy)
    const correlator = await startSample({ data: join(data, 'd'), policy })
    writeFileSync(target, zone('storage'))
    process.kill(process.pid, 'SIGHUP')
    expect((await applied(correlator, 2)).at(-1)).toBe(policyDigest(zone('storage')))
    await correlator.stop()
  }))

  it('stays when the new one is broken, and that is said and counted', () => withData(async (data) => {
    const policy = join(data, 'vedette.yaml')
    writeFileSync(policy, zone('training'))
    const correlator = await startSample({ data: join(data, 'd'), policy })
    writeFileSync(policy, zone('training').replace('exposure: internal', 'exposure: secret'))
    correlator.reloadPolicy()
    const said = correlator.lines.join('\n')
    expect(said).toContain(`${policy}:4:`)
    expect(said).toContain('stays in force')
    expect(await correlator.metric('vedette_policy_reload_failures_total')).toBeGreaterThanOrEqual(1)
    expect(await correlator.metric(`vedette_policy_info{sha256="${policyDigest(zone('training'))}"}`)).toBe(1)
    expect((await applied(correlator, 1)).length).toBe(1)
    await correlator.stop()
  }))
})

describe('a correlator that cannot start says why and leaves nothing open', () => {
  it('with a policy that is broken or not there', () => withData(async (data) => {
    const policy = join(data, 'vedette.yaml')
    await expect(startSample({ data, policy })).rejects.toSatisfy((error) => codeOf(error) === 'POLICY_UNREADABLE')
    writeFileSync(policy, 'version: 1\nzone: []\n')
    await expect(startSample({ data, policy })).rejects.toThrow(/vedette\.yaml:2:1: error/)
    writeFileSync(policy, zone('training'))
    await (await startSample({ data, policy })).stop()
  }))

  it('with a port that is in use, or a folder that is', () => withData(async (data) => {
    const first = await startSample({ data })
    const listen = `127.0.0.1:${first.grpc_port}`
    await expect(startSample({ data: join(data, 'b'), listen })).rejects.toThrow(/EADDRINUSE/)
    const listen_http = `127.0.0.1:${first.http_port}`
    await expect(startSample({ data: join(data, 'b'), listen_http })).rejects.toThrow(listen_http)
    await expect(startSample({ data })).rejects.toSatisfy((error) => codeOf(error) === 'LOG_LOCKED')
    await first.stop()
    await (await startSample({ data: join(data, 'b') })).stop()
  }))

  it('with a folder that it may not use', () => withData(async (data) => {
    writeFileSync(join(data, 'file'), '')
    await expect(startSample({ data: join(data, 'file') })).rejects.toSatisfy((error) => error instanceof LogError)
  }))

  it('while another writer holds the incidents', () => withData(async (data) => {
    const held = openLog(join(data, 'incidents'), SAMPLE_OPTIONS)
    await expect(startSample({ data })).rejects.toSatisfy((error) => codeOf(error) === 'LOG_LOCKED')
    await held.close()
    await (await startSample({ data })).stop()
  }))
})
