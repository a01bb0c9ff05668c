/** A detector for tests of the correlator: fires at every connection to port 4444. */
import { defineDetector } from '../../detect/detector.ts'
import { formatTime } from '../../proto/event-json.ts'

export const sampleDetector = defineDetector({
  id: 'TST-001', title: 'Connection to port 4444', severity: 'high', maturity: 'experimental',
  attack: ['T1571'], atlas: [], blindSpots: ['Any other port.'], runbook: 'Ask the owner.',
  needs: ['connection_open'], settings: {},
  state: { initial: () => ({ count: 0 }), keysMax: 1000, idleMs: 60_000 },
  key: (event) => event.remote_port === 4444 ? event.pid : null,
  evaluate(event, state, context) {
    state.count++
    context.report({
      key: event.remote_addr,
      totals: { connections: 1 },
      tell: () => ({
        summary: `process ${event.pid} reached ${event.remote_addr}`,
        details: { count: state.count },
        next_steps: ['Look at the process.'],
        hop: {
          time: formatTime(event.wall_ns), established: true, protocol: 'tcp',
          from: { zone: 'inference', address: event.local_addr },
          to: { zone: 'storage', address: event.remote_addr, port: 4444 },
        },
      }),
    })
  },
  examples: [],
})
