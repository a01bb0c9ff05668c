import { join } from 'node:path'
import { DRILL_WEIGHTS } from '../policy/drill-stores.ts'
import { alone } from './actors.ts'
import type { Drill } from './drill.ts'
import { POLICY_WITH_STORES, withStore } from './store-folder.ts'

const FILE_BYTES = 1 << 20

/** Somebody writes into weights that nobody may change. */
export const modelTamper: Drill = {
  name: 'model-tamper',
  title: 'A process that changes the weights of a model',
  raises: 'STO-009',
  attack: ['T1565.001', 'T1195.002'],
  safe: 'The weights are a file of the drill that means nothing, in a folder of its own; a ' +
    'program of the drill writes a few bytes into it, no model loads it, and it is removed.',
  needs: ['root', POLICY_WITH_STORES],
  async run(context) {
    const { say } = context
    const files = { store: DRILL_WEIGHTS, files: 1, fileBytes: FILE_BYTES }
    return withStore(files, context, async (folder) => {
      const file = join(folder, 'drill-0.safetensors')
      const { pid, line } = await alone(['change', file], context, 'the drill changed nothing')
      say(`process ${pid} wrote ${line} bytes into ${file}`)
      return { zones: [], done: { store: DRILL_WEIGHTS, path: file, writer_pid: pid } }
    })
  },
}
