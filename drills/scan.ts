import { among } from './actors.ts'
import type { Drill } from './drill.ts'

const SOURCE = '192.0.2.1'
const TARGET = '198.51.100.1'
/** More than the detector allows by default; a policy that allows more keeps it quiet. */
const PORTS = 60

/** A process tries many ports of a host, and none answers. */
export const scan: Drill = {
  name: 'scan',
  title: 'A scan of many ports of a host',
  raises: 'NET-003',
  attack: ['T1046'],
  safe: 'It happens between two network namespaces of the drill that are joined to nothing else; ' +
    `nobody listens on ${TARGET}, so every one of the ${PORTS} attempts is refused at once.`,
  needs: ['root', 'ip'],
  async run(context) {
    const { say } = context
    return among([SOURCE, TARGET], context, async (actors, source) => {
      const scanner = actors.start(source, 'scan', SOURCE, TARGET, `${PORTS}`)
      say(`process ${scanner.pid} tries ${PORTS} ports of ${TARGET}`)
      await scanner.ended('the scan of the drill failed')
      return { zones: [], done: { from: SOURCE, to: TARGET, ports: PORTS, pid: scanner.pid } }
    })
  },
}
