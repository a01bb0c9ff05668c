import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { accessOf, Token } from './access.ts'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'vedette-access-')) })
afterEach(() => rmSync(folder, { recursive: true }))

describe('the way to the API', () => {
  const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }

  it('is that of the cluster which the pod runs in', () => {
    writeFileSync(join(folder, 'token'), 't')
    writeFileSync(join(folder, 'ca.crt'), 'c')
    expect(accessOf({}, env, folder)).toEqual({
      api: new URL('https://10.96.0.1'), caFile: join(folder, 'ca.crt'), tokenFile: join(folder, 'token'),
    })
    expect(accessOf({}, { KUBERNETES_SERVICE_HOST: 'fd00::1' }, folder)?.api.host).toBe('[fd00::1]')
  })

  it('is none outside of a cluster, or when it is off', () => {
    expect(accessOf({}, {}, folder)).toBeUndefined()
    expect(accessOf({ kubernetes_api: 'off' }, env, folder)).toBeUndefined()
  })

  it('that is no URL is refused with what to write', () => {
    expect(() => accessOf({ kubernetes_api: 'gpu-07:6443' }, {}, folder))
      .toThrow(/kubernetes_api "gpu-07:6443" is no URL such as https:.*Run in a pod with a service account/)
  })

  it('sends no credentials of the pod to an address that someone named', () => {
    writeFileSync(join(folder, 'token'), 't')
    expect(accessOf({ kubernetes_api: 'http://127.0.0.1:8001' }, env, folder)?.tokenFile).toBeUndefined()
  })
})

describe('the token', () => {
  it('is read again after a minute, and when it was refused', () => {
    const file = join(folder, 'token')
    writeFileSync(file, 'one\n')
    const token = new Token(file)
    expect(token.header(0)).toBe('Bearer one')
    writeFileSync(file, 'two')
    expect(token.header(60_000)).toBe('Bearer one')
    expect(token.header(60_001)).toBe('Bearer two')
    writeFileSync(file, 'three')
    token.expire()
    expect(token.header(60_002)).toBe('Bearer three')
  })

  it('that cannot be read is told with its place', () => {
    expect(() => new Token(join(folder, 'none')).header(0)).toThrow(/token file .*none cannot be read/)
  })
})
