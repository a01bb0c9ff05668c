import { DRILL_DATASET } from '../policy/drill-stores.ts'
import { alone } from './actors.ts'
import type { Drill } from './drill.ts'
import { POLICY_WITH_STORES, withStore } from './store-folder.ts'

const FILES = 64
const FILE_BYTES = 1 << 20

/** One process reads all of a data set, of which a megabyte in a day is expected. */
export const bulkRead: Drill = {
  name: 'bulk-read',
  title: 'A process that reads all of a data set',
  raises: 'STO-002',
  attack: ['T1119', 'T1005'],
  safe: `The data set is a folder of the drill with ${FILES} files that mean nothing; a program ` +
    'of the drill reads them, keeps nothing, and the folder is removed.',
  needs: ['root', POLICY_WITH_STORES],
  async run(context) {
    const { say } = context
    const files = { store: DRILL_DATASET, files: FILES, fileBytes: FILE_BYTES }
    return withStore(files, context, async (folder) => {
      const { pid, line } = await alone(['read', folder], context, 'the reader of the drill failed')
      say(`process ${pid} read ${line} bytes of ${folder}`)
      return { zones: [], done: { store: DRILL_DATASET, bytes: Number(line), reader_pid: pid } }
    })
  },
}
