import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { DrillError } from './drill.ts'
import { drills } from './list.ts'
import { joinedNamespaces } from './namespaces.ts'
import { zoneViolation } from './zone-violation.ts'

const isRoot = process.getuid?.() === 0
if (!isRoot) process.stderr.write('!! SKIPPED: drills need root: run sudo npm test\n')

/** Namespaces of drills of this process. */
function ours(): string[] {
  return execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n')
    .filter((line) => line.includes(`vedette-drill-${process.pid}-`))
}

describe('the list of drills', () => {
  it('names each once, with why it is safe and what it raises', () => {
    expect(new Set(drills.map(({ name }) => name)).size).toBe(drills.length)
    for (const { name, safe, raises, attack } of drills) {
      expect(name).toMatch(/^[a-z][a-z-]+$/)
      expect(safe.length).toBeGreaterThan(40)
      expect(raises).toMatch(/^[A-Z]+-\d{3}$/)
      for (const id of attack) expect(id).toMatch(/^T\d{4}(\.\d{3})?$/)
    }
  })
})

describe.skipIf(!isRoot)('every drill', () => {
  // Those that need more than root say so when it is not there.
  const ready = drills.filter(({ needs }) => needs.every((need) => ['root', 'ip'].includes(need)))

  it.each(ready)('$name is done for real, and leaves nothing', async (drill) => {
    const lines: string[] = []
    const { done } = await drill.run({ say: (line) => void lines.push(line), signal: new AbortController().signal })
    const pids = Object.entries(done).filter(([name]) => /pid$/.test(name)).map(([, pid]) => Number(pid))
    expect(pids.length).toBeGreaterThan(0)
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow()
    expect(lines.length).toBeGreaterThan(1)
    expect(ours()).toEqual([])
  })
})

describe.skipIf(!isRoot)('the zone-violation drill', () => {
  it('makes a real connection between two processes and leaves nothing behind', async () => {
    const lines: string[] = []
    const { zones, done } = await zoneViolation.run({
      say: (line) => void lines.push(line), signal: new AbortController().signal,
    })
    expect(zones).toEqual(['drill-source', 'drill-target'])
    expect(done).toMatchObject({ from: '192.0.2.1', bytes: 4096 })
    expect(done['client_pid']).not.toBe(done['server_pid'])
    expect(lines).toHaveLength(3)
    expect(ours()).toEqual([])
  })

  it('cleans up when it is stopped half way', async () => {
    const controller = new AbortController()
    const run = zoneViolation.run({
      say: (line) => { if (line.includes('listens')) controller.abort() },
      signal: controller.signal,
    })
    await expect(run).rejects.toThrow()
    expect(ours()).toEqual([])
  })

  it('leaves nothing when it cannot be set up', async () => {
    await expect(joinedNamespaces('192.0.2.1', 'nowhere')).rejects.toBeInstanceOf(DrillError)
    expect(ours()).toEqual([])
  })

  it('removes what a drill that was killed left behind, and nothing else', async () => {
    const dead = execFileSync('/bin/sh', ['-c', 'echo $$'], { encoding: 'utf8' }).trim()
    const left = `vedette-drill-${dead}-00ff00-a`
    const foreign = `vedette-test-${process.pid}`
    try {
      for (const name of [left, foreign]) execFileSync('ip', ['netns', 'add', name])
      const pair = await joinedNamespaces('192.0.2.1', '198.51.100.1')
      await pair.remove()
      const there = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })
      expect(there).not.toContain(left)
      expect(there).toContain(foreign)
    } finally {
      execFileSync('ip', ['netns', 'delete', foreign])
    }
  })
})
