import { DRILL_ZONES } from '../policy/zone-names.ts'
import { among } from './actors.ts'
import type { Drill } from './drill.ts'

const SOURCE = '192.0.2.1'
const TARGET = '198.51.100.1'

/** A shell whose standard streams are a connection to somebody who types into it. */
export const reverseShell: Drill = {
  name: 'reverse-shell',
  title: 'A shell whose standard streams are a network connection',
  raises: 'NET-006',
  attack: ['T1059.004'],
  safe: 'The shell connects to a program of the drill, in two network namespaces that are joined ' +
    'to nothing else; the only commands that it gets are `true` and `exit`.',
  needs: ['root', 'ip'],
  async run(context) {
    const { say } = context
    return among([SOURCE, TARGET], context, async (actors, source, target) => {
      const master = actors.start(target, 'command', TARGET, 'true', 'exit')
      const port = await master.line('the listener of the drill did not start')
      say(`process ${master.pid} waits for the shell on ${TARGET}:${port}`)
      const parent = actors.start(source, 'shell', SOURCE, TARGET, port)
      const shell = await parent.line('the shell of the drill did not start')
      say(`process ${shell} is a shell that is led from there`)
      await parent.ended('the shell of the drill failed')
      return {
        zones: [...DRILL_ZONES],
        done: { from: SOURCE, to: `${TARGET}:${port}`, shell_pid: Number(shell) },
      }
    })
  },
}
