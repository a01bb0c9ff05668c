import { among } from './actors.ts'
import type { Drill } from './drill.ts'

const SOURCE = '192.0.2.1'
/** Where every cloud answers; here it is an address of the drill's own namespace. */
const METADATA = '169.254.169.254'

/** A process asks the metadata service of the cloud, as one that looks for credentials does. */
export const metadataAccess: Drill = {
  name: 'metadata-access',
  title: 'A request to the metadata service of the cloud',
  raises: 'NET-007',
  attack: ['T1552.005'],
  safe: `${METADATA} is, in the network namespace of the drill, a program of the drill: the ` +
    'metadata service of this machine, if it has one, is not reached, and nothing is asked of it.',
  needs: ['root', 'ip'],
  async run(context) {
    const { say } = context
    return among([SOURCE, METADATA], context, async (actors, source, target) => {
      const server = actors.start(target, 'listen', METADATA, '80')
      await server.line('the server of the drill did not start')
      const client = actors.start(source, 'connect', SOURCE, METADATA, '80', '64')
      say(`process ${client.pid} connects from ${SOURCE} to ${METADATA}:80`)
      await client.ended('the connection of the drill failed')
      return { zones: [], done: { from: SOURCE, to: `${METADATA}:80`, client_pid: client.pid } }
    })
  },
}
