import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { firstRdmaDevice } from './rdma-device.ts'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'vedette-rdma-')) })
afterEach(() => rmSync(folder, { recursive: true }))

/** Files as /sys/class/infiniband has them. */
function device(name: string, files: Record<string, string>): void {
  for (const [file, text] of Object.entries(files)) {
    const path = join(folder, name, 'ports/1', file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `${text}\n`)
  }
}

const empty = '0000:0000:0000:0000:0000:0000:0000:0000'

describe('the RDMA device of the drill', () => {
  it('is one that is up, with an address of RoCE v2', () => {
    device('mlx5_0', { state: '1: DOWN', link_layer: 'Ethernet' })
    device('rxe0', {
      state: '4: ACTIVE', link_layer: 'Ethernet',
      'gids/0': 'fe80:0000:0000:0000:0000:0000:0000:0001', 'gid_attrs/types/0': 'IB/RoCE v1',
      'gids/1': empty, 'gid_attrs/types/1': 'RoCE v2',
      'gids/2': '0000:0000:0000:0000:0000:ffff:0a42:0001', 'gid_attrs/types/2': 'RoCE v2',
    })
    expect(firstRdmaDevice(folder)).toEqual({ name: 'rxe0', gidWords: ['-g', '2'] })
  })

  it('needs no address on InfiniBand', () => {
    device('mlx5_0', { state: '4: ACTIVE', link_layer: 'InfiniBand' })
    expect(firstRdmaDevice(folder)).toEqual({ name: 'mlx5_0', gidWords: [] })
  })

  it('that is not there is told with how to get one', () => {
    expect(() => firstRdmaDevice(folder)).toThrow(/no RDMA device that is up; .* rdma link add rxe0/)
    expect(() => firstRdmaDevice(join(folder, 'none'))).toThrow(/no RDMA device/)
  })
})
