import { describe, expect, it } from 'vitest'
import { Complaints } from './complaints.ts'
import { AgentError } from '../errors.ts'

function complaints() {
  const lines: string[] = []
  const clock = { nowMs: 0 }
  return { lines, clock, one: new Complaints((line) => lines.push(line), () => clock.nowMs) }
}

describe('Complaints', () => {
  it('says the first of each kind at once, then one a minute with a count', () => {
    const { one, lines, clock } = complaints()
    one.say(new AgentError('UPLINK_SILENT', 'a'))
    one.say(new AgentError('UPLINK_REFUSED', 'b'))
    for (let i = 0; i < 5; i++) one.say(new AgentError('UPLINK_SILENT', 'again'))
    expect(lines).toHaveLength(2)
    clock.nowMs = 60_000
    one.say(new AgentError('UPLINK_SILENT', 'later'))
    expect(lines[2]).toMatch(/^UPLINK_SILENT: later.*and 5 times since/)
  })

  it('says when it is over, but only if it said that it began', () => {
    const { one, lines } = complaints()
    one.over(['UPLINK_SILENT'], 'all is well')
    expect(lines).toEqual([])
    one.say(new AgentError('UPLINK_SILENT', 'a'))
    one.over(['UPLINK_SILENT', 'UPLINK_REFUSED'], 'all is well')
    one.say(new AgentError('UPLINK_SILENT', 'b'))
    expect(lines[1]).toBe('all is well')
    expect(lines).toHaveLength(3)
  })

  it('lets no control characters of others reach the terminal', () => {
    const { one, lines } = complaints()
    one.say(new AgentError('UPLINK_REFUSED', 'a\n\u001b[31mb\u202ec'))
    expect(lines[0]).toMatch(/^UPLINK_REFUSED: a \[31mb c\./)
  })
})
