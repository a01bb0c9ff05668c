import { DRILL_DATASET } from '../policy/drill-stores.ts'
import { DRILL_ZONES } from '../policy/zone-names.ts'
import { among } from './actors.ts'
import type { Drill } from './drill.ts'
import { POLICY_WITH_STORES, withStore } from './store-folder.ts'

const SOURCE = '192.0.2.1'
const TARGET = '198.51.100.1'
const FILES = 16
const FILE_BYTES = 1 << 20

/** One process reads a data set and sends it to where no policy lets it go. */
export const readThenSend: Drill = {
  name: 'read-then-send',
  title: 'A process that reads a data set and sends it to another zone',
  raises: 'STO-007',
  attack: ['T1041', 'T1048'],
  safe: `The data set is a folder of the drill with ${FILES} files that mean nothing; both ends ` +
    'are programs of the drill, in two network namespaces that are joined to nothing else, the ' +
    `addresses (${SOURCE}, ${TARGET}) are for documentation, and the folder is removed.`,
  needs: ['root', 'ip', POLICY_WITH_STORES],
  async run(context) {
    const { say } = context
    const files = { store: DRILL_DATASET, files: FILES, fileBytes: FILE_BYTES }
    return withStore(files, context, (folder) =>
      among([SOURCE, TARGET], context, async (actors, source, target) => {
        const server = actors.start(target, 'listen', TARGET)
        const port = await server.line('the server of the drill did not start')
        const client = actors.start(source, 'leak', SOURCE, TARGET, port, folder)
        say(`process ${client.pid} reads ${folder}, and sends it to ${TARGET}:${port}`)
        await client.ended('the connection of the drill failed')
        await server.ended('the server of the drill failed')
        return {
          zones: [...DRILL_ZONES],
          done: {
            store: DRILL_DATASET, from: SOURCE, to: `${TARGET}:${port}`,
            bytes: FILES * FILE_BYTES, client_pid: client.pid, server_pid: server.pid,
          },
        }
      }))
  },
}
