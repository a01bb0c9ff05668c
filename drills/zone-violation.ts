import { DRILL_ZONES } from '../policy/zone-names.ts'
import { among } from './actors.ts'
import type { Drill } from './drill.ts'

/** One address of each of the two drill ranges of the policy (policy/match/drill-ranges.ts). */
const SOURCE = '192.0.2.1'
const TARGET = '198.51.100.1'
const BYTES = 4096

/**
 * A process of one zone connects to a server of another, and no policy can allow it: the addresses
 * are those of the two zones that every policy reserves for drills.
 */
export const zoneViolation: Drill = {
  name: 'zone-violation',
  title: 'A connection between two zones that the policy does not allow',
  raises: 'NET-001',
  attack: ['T1021'],
  safe: 'Both ends are programs of the drill, in two network namespaces of its own that are ' +
    `joined to nothing else; the addresses (${SOURCE}, ${TARGET}) are for documentation, and ` +
    `${BYTES} bytes are sent.`,
  needs: ['root', 'ip'],
  async run(context) {
    const { say } = context
    return among([SOURCE, TARGET], context, async (actors, source, target) => {
      const server = actors.start(target, 'listen', TARGET)
      const port = await server.line('the server of the drill did not start')
      say(`process ${server.pid} listens on ${TARGET}:${port}`)
      const client = actors.start(source, 'connect', SOURCE, TARGET, port, `${BYTES}`)
      say(`process ${client.pid} connects from ${SOURCE} and sends ${BYTES} bytes`)
      await client.ended('the connection of the drill failed')
      await server.ended('the server of the drill failed')
      return {
        zones: [...DRILL_ZONES],
        done: {
          from: SOURCE, to: `${TARGET}:${port}`, bytes: BYTES,
          client_pid: client.pid, server_pid: server.pid,
        },
      }
    })
  },
}
