import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { examineNvml } from './examine.ts'
import { FakeNode } from '../../test/gpu/node.ts'
import { hasCompiler, NvmlStandIn } from '../../test/gpu/nvml.ts'

let node: FakeNode
let standIn: NvmlStandIn
beforeEach(() => {
  node = new FakeNode()
  if (hasCompiler) standIn = new NvmlStandIn()
})
afterEach(() => {
  node.close()
  standIn?.close()
})

describe.skipIf(!hasCompiler)('examineNvml', () => {
  const examine = (library = standIn.path, timeoutMs = 5000) =>
    examineNvml({ root: node.root, library, timeoutMs })

  it('misses nothing where no driver is loaded', async () => {
    expect(await examine('/nowhere.so')).toMatchObject({ state: 'waiting', lost: '' })
  })

  it('names library, version, and the functions that are missing', async () => {
    node.driver()
    expect(await examine()).toMatchObject({ state: 'have', detail: `${standIn.path} 570.211.01`, lost: '' })
    const old = standIn.copy('old.so', ['nvmlSystemGetDriverBranch', 'nvmlDeviceGetEccMode'])
    const fact = await examine(old)
    expect(fact?.state).toBe('degraded')
    expect(fact?.lost).toMatch(/lacks: nvmlSystemGetDriverBranch, nvmlDeviceGetEccMode$/)
  })

  it('says why there is no answer, and does not wait for ever', async () => {
    node.driver()
    expect(await examine('/nowhere.so')).toMatchObject({ state: 'missing', detail: expect.stringContaining('No such') })
    standIn.control({ 'status.nvmlInit_v2': 18 })
    expect(await examine()).toMatchObject({ state: 'missing', detail: 'LIB_RM_VERSION_MISMATCH' })
    standIn.control({ 'hang.nvmlInit_v2': 3000 })
    expect(await examine(standIn.path, 100))
      .toMatchObject({ state: 'missing', detail: expect.stringContaining('does not answer: nvmlInit_v2 for 0.1 s') })
  })
})
