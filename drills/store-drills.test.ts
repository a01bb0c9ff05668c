import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DRILL_WEIGHTS, drillFolder } from '../policy/drill-stores.ts'
import { alone } from './actors.ts'
import { DrillError } from './drill.ts'
import type { DrillContext } from './drill.ts'
import { withStore } from './store-folder.ts'

const isRoot = process.getuid?.() === 0
if (!isRoot) process.stderr.write('!! SKIPPED: drills need root: run sudo npm test\n')

const folder = drillFolder(DRILL_WEIGHTS)
const files = { store: DRILL_WEIGHTS, files: 3, fileBytes: 5000 }

function context(): DrillContext & { lines: string[] } {
  const lines: string[] = []
  return { lines, say: (line) => void lines.push(line), signal: new AbortController().signal }
}

describe.skipIf(!isRoot)('the folder of a store of drills', () => {
  it('is there with its files while the drill acts, for programs of the drill too, and then gone', async () => {
    const there = existsSync(dirname(folder))
    const { pid, line } = await withStore(files, context(), async (made) => {
      expect(made).toBe(folder)
      expect(readdirSync(made)).toHaveLength(3)
      return alone(['read', made], context(), 'it failed')
    }, 0)
    expect(line).toBe('15000')
    expect(() => process.kill(pid, 0)).toThrow()
    expect([existsSync(folder), existsSync(dirname(folder))]).toEqual([false, there])
  })

  it('is changed by the program that changes weights', async () => {
    await withStore(files, context(), async (made) => {
      const file = join(made, 'drill-0.safetensors')
      const before = statSync(file)
      expect((await alone(['change', file], context(), 'it failed')).line).toBe('18')
      expect(statSync(file).size).toBe(before.size)
      expect(statSync(file).mtimeMs).toBeGreaterThan(before.mtimeMs)
    }, 5)
  })

  it('is gone when the drill fails or is stopped, and a second drill is refused meanwhile', async () => {
    await expect(withStore(files, context(), async () => {
      await expect(withStore(files, context(), async () => undefined, 0)).rejects.toBeInstanceOf(DrillError)
      return alone(['change', '/nowhere/at/all'], context(), 'the drill changed nothing')
    }, 0)).rejects.toThrow('the drill changed nothing')
    expect(existsSync(folder)).toBe(false)
    const controller = new AbortController()
    const stopped = withStore(files, { say: () => controller.abort(), signal: controller.signal },
      async () => expect.unreachable(), 60_000)
    await expect(stopped).rejects.toThrow(/abort/)
    expect(existsSync(folder)).toBe(false)
  })
})
