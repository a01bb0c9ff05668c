import { describe, expect, it } from 'vitest'
import { correlatorSettings, hostPort } from './config.ts'
import type { CorrelatorConfig } from './config.ts'
import { CorrelatorError } from './errors.ts'

const messageOf = (config: Record<string, unknown>): string => {
  try {
    correlatorSettings(config as unknown as CorrelatorConfig)
  } catch (error) {
    expect(error).toBeInstanceOf(CorrelatorError)
    return (error as CorrelatorError).message
  }
  return ''
}

describe('correlator settings', () => {
  it('need nothing but a data folder', () => {
    expect(correlatorSettings({ data: '/d' })).toMatchObject({
      data: '/d', listen: '127.0.0.1:7411', listen_http: '127.0.0.1:7412', alertmanager_urls: [],
    })
  })

  it('take undefined for not given', () => {
    expect(correlatorSettings({ data: '/d', listen: undefined }).listen).toBe('127.0.0.1:7411')
  })

  it('name every wrong value at once, with what to write', () => {
    const message = messageOf({
      data: '', listen: 'nowhere', log_bytes_max: 1.5, streams_max: 0, cluster: 'a b',
      alertmanager_urls: ['ftp://x', 'http://ok:9093'], tls: { ca: 'a', cert: 'b' }, liste: 'x',
    })
    for (const part of [
      'data is "" ', 'listen is "nowhere"', 'log_bytes_max is 1.5', 'streams_max is 0',
      'cluster must be', '"ftp://x" is not a URL', 'tls.key is missing', 'liste: no such setting',
    ]) expect(message).toContain(part.trim())
    expect(message).not.toContain('http://ok:9093"')
  })

  it('refuse names of readers that nobody could show', () => {
    const tls = { ca: 'a', cert: 'b', key: 'c' }
    expect(messageOf({ data: '/d', query_clients: ['alice'] })).toContain('set tls, too')
    expect(messageOf({ data: '/d', tls, query_clients: 'alice' })).toContain('must be a list')
    expect(messageOf({ data: '/d', tls, query_clients: [''] })).toContain('must be a list')
    expect(messageOf({ data: '/d', tls, query_clients: ['alice'] })).toBe('')
  })

  it('refuse a memory limit that no batch fits', () => {
    expect(messageOf({ data: '/d', ingest_bytes_max: 2048 })).toContain('ingest_bytes_max')
  })
})

describe('host and port', () => {
  it('are read from names, IPv4 and bracketed IPv6', () => {
    expect(hostPort('localhost:0')).toEqual({ host: 'localhost', port: 0 })
    expect(hostPort('[::1]:7411')).toEqual({ host: '::1', port: 7411 })
  })

  it('are not read from anything else', () => {
    for (const text of ['', ':1', 'a', 'a:', 'a:b', 'a:70000', '::1:7411', 'a b:1', '[::1]']) {
      expect(hostPort(text)).toBeNull()
    }
  })
})
