/** An RDMA device that can talk to itself. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DrillError } from './drill.ts'

const FOLDER = '/sys/class/infiniband'
const EMPTY_GID = /^[0:]*$/

/** `gidWords` are those that programs of ibverbs want for it. */
export interface RdmaDevice { name: string, gidWords: string[] }

/** The first one with a port that is up. Throws DrillError when there is none. */
export function firstRdmaDevice(folder = FOLDER): RdmaDevice {
  for (const name of list(folder)) {
    const port = join(folder, name, 'ports/1')
    if (!read(join(port, 'state')).includes('ACTIVE')) continue
    // InfiniBand finds itself by its local id; RoCE needs an address.
    if (read(join(port, 'link_layer')) !== 'Ethernet') return { name, gidWords: [] }
    const gid = list(join(port, 'gids')).sort((a, b) => Number(a) - Number(b))
      .find((index) => isRoutable(port, index))
    if (gid !== undefined) return { name, gidWords: ['-g', gid] }
  }
  throw new DrillError('this machine has no RDMA device that is up; without hardware: modprobe ' +
    'rdma_rxe && rdma link add rxe0 type rxe netdev INTERFACE')
}

function isRoutable(port: string, index: string): boolean {
  return !EMPTY_GID.test(read(join(port, 'gids', index)) || '0') &&
    read(join(port, 'gid_attrs/types', index)) === 'RoCE v2'
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch {
    return []
  }
}

/** '' for what is not there: entries of a device come and go with its addresses. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return ''
  }
}
