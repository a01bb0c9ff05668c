import { join } from 'node:path'
import { DRILL_ZONES } from '../policy/zone-names.ts'
import { among } from './actors.ts'
import type { Drill } from './drill.ts'

const ENTRY = '192.0.2.1'
const SERVICE = '192.0.2.2'
const TARGET = '198.51.100.1'
const BYTES = 4096
const PEER = join(import.meta.dirname, 'peer.ts')

/** Somebody enters a service, gets a shell there, and goes on to a machine that is protected. */
export const lateralChain: Drill = {
  name: 'lateral-chain',
  title: 'An intruder who goes on from a service to a protected machine',
  raises: 'NET-002',
  attack: ['T1021', 'T1059.004', 'T1570'],
  safe: 'Everyone is a program of the drill, in three network namespaces that are joined to ' +
    'nothing else; the shell gets one command, which starts a program of the drill that sends ' +
    `${BYTES} bytes to another one.`,
  needs: ['root', 'ip'],
  async run(context) {
    const { say } = context
    return among([ENTRY, SERVICE, TARGET], context, async (actors, outside, middle, inside) => {
      const target = actors.start(inside, 'listen', TARGET)
      const targetPort = await target.line('the server of the drill did not start')
      const service = actors.start(middle, 'service', SERVICE)
      const servicePort = await service.line('the service of the drill did not start')
      const hop = `${process.execPath} ${PEER} connect ${SERVICE} ${TARGET} ${targetPort} ${BYTES}`
      const intruder = actors.start(outside, 'type', ENTRY, SERVICE, servicePort, hop, 'exit')
      say(`process ${intruder.pid} enters the service of process ${service.pid}`)
      const shell = await service.line('the service of the drill gave no shell')
      say(`it gets shell ${shell}, and connects from there to process ${target.pid}`)
      await target.ended('nobody came to the last machine of the drill')
      await intruder.ended('the intruder of the drill failed')
      return {
        zones: [...DRILL_ZONES],
        done: {
          from: ENTRY, over: `${SERVICE}:${servicePort}`, to: `${TARGET}:${targetPort}`,
          bytes: BYTES, intruder_pid: intruder.pid, shell_pid: Number(shell),
          target_pid: target.pid,
        },
      }
    })
  },
}
