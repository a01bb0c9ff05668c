import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { DRILL_WEIGHTS } from '../policy/drill-stores.ts'
import { alone } from './actors.ts'
import { DrillError } from './drill.ts'
import type { DrillContext } from './drill.ts'
import { withStore } from './store-folder.ts'

const root = mkdtempSync(join(tmpdir(), 'vedette-test-drills-'))
const folder = join(root, 'stores', 'one')
afterAll(() => rmSync(root, { recursive: true, force: true }))
const files = { store: DRILL_WEIGHTS, files: 3, fileBytes: 5000 }

function context(): DrillContext & { lines: string[] } {
  const lines: string[] = []
  return { lines, say: (line) => void lines.push(line), signal: new AbortController().signal }
}

describe('the folder of a store of drills', () => {
  it('is there with its files while the drill acts, for programs of the drill too, and then gone', async () => {
    const { pid, line } = await withStore(files, context(), async (made) => {
      expect(made).toBe(folder)
      expect(readdirSync(made)).toHaveLength(3)
      return alone(['read', made], context(), 'it failed')
    }, 0, folder)
    expect(line).toBe('15000')
    expect(() => process.kill(pid, 0)).toThrow()
    expect(readdirSync(root)).toEqual([])
  })

  it('is changed by the program that changes weights', async () => {
    await withStore(files, context(), async (made) => {
      const file = join(made, 'drill-0.safetensors')
      const before = statSync(file)
      expect((await alone(['change', file], context(), 'it failed')).line).toBe('18')
      expect(statSync(file).size).toBe(before.size)
      expect(statSync(file).mtimeMs).toBeGreaterThan(before.mtimeMs)
    }, 5, folder)
  })

  it('is gone when the drill fails or is stopped, and a second drill is refused meanwhile', async () => {
    await expect(withStore(files, context(), async () => {
      await expect(withStore(files, context(), async () => undefined, 0, folder)).rejects.toBeInstanceOf(DrillError)
      return alone(['change', '/nowhere/at/all'], context(), 'the drill changed nothing')
    }, 0, folder)).rejects.toThrow('the drill changed nothing')
    expect(existsSync(folder)).toBe(false)
    const controller = new AbortController()
    const stopped = withStore(files, { say: () => controller.abort(), signal: controller.signal },
      async () => expect.unreachable(), 60_000, folder)
    await expect(stopped).rejects.toThrow(/abort/)
    expect(existsSync(folder)).toBe(false)
  })
  it('leaves what another drill has beside it, and says why it cannot be made', async () => {
    const beside = join(dirname(folder), 'two')
    await withStore({ ...files, store: 'two' }, context(), async () => {
      await withStore(files, context(), async () => undefined, 0, folder)
      expect(readdirSync(beside)).toHaveLength(3)
    }, 0, beside)
    expect(readdirSync(root)).toEqual([])
    writeFileSync(join(root, 'file'), '')
    await expect(withStore(files, context(), async () => undefined, 0, join(root, 'file', 'one')))
      .rejects.toThrow('cannot be made (ENOTDIR): run it as root')
    rmSync(join(root, 'file'))
  })
})
