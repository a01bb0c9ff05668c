import { startCorrelator } from '../correlator/main.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { correlatorConfig, CORRELATOR_SETTINGS, TLS_SETTINGS } from './half-settings.ts'
import { say } from './output.ts'
import { stopSignal, untilStopped } from './stop-signal.ts'

const DATA_DEFAULT = '/var/lib/vedette/correlator'

export const spec: CommandSpec = {
  name: 'correlator',
  summary: 'the cluster: stores the events of all agents, raises incidents, answers readers',
  examples: [
    'vedette correlator --listen 0.0.0.0:7411 --data /var/lib/vedette --policy vedette.yaml',
    'vedette correlator --data ./data --alertmanager http://am-1:9093 http://am-2:9093',
    'kill -HUP PID                  reads the policy file again; so does a change of the file',
  ],
  settings: ['data', ...CORRELATOR_SETTINGS, ...TLS_SETTINGS],
  changes: {
    data: { help: 'folder of the logs and snapshots', default: DATA_DEFAULT },
    listen_http: { shown: '127.0.0.1:7412' },
  },
  async run(values): Promise<ExitCode> {
    const { data = DATA_DEFAULT } = values
    const signal = stopSignal()
    say(`correlator: reading ${data}`)
    const correlator = await startCorrelator(correlatorConfig(values, data))
    const { grpc_port, http_port } = correlator
    say(`correlator: gRPC on port ${grpc_port}, /metrics on port ${http_port}`)
    await untilStopped(signal)
    say('correlator: stopping; what was taken is stored and evaluated')
    await correlator.stop()
    return 0
  },
}
