import { startAgent } from '../agent/main.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
import { AGENT_SETTINGS, agentConfig, TLS_SETTINGS } from './half-settings.ts'
import { say } from './output.ts'
import { stopSignal, untilStopped } from './stop-signal.ts'
import { probeLines } from './text/probes.ts'

const DATA_DEFAULT = '/var/lib/vedette/agent'

export const spec: CommandSpec = {
  name: 'agent',
  summary: 'one node: watches the kernel and sends what it sees to a correlator',
  examples: [
    'vedette agent --correlator 10.0.0.5:7411',
    'vedette agent --correlator 10.0.0.5:7411 --data /var/lib/vedette --tls-ca ca.pem \\',
    '  --tls-cert node.pem --tls-key node.key',
    'vedette agent --config /etc/vedette/agent.yaml',
  ],
  settings: ['correlator', 'data', 'listen_http', ...AGENT_SETTINGS, ...TLS_SETTINGS],
  changes: {
    data: { help: 'folder of the spool', default: DATA_DEFAULT },
    listen_http: { shown: '127.0.0.1:7413' },
  },
  async run(values): Promise<ExitCode> {
    const { correlator, data = DATA_DEFAULT, listen_http } = values
    if (correlator === undefined) {
      throw new CliError('CLI_USAGE', 'an agent needs --correlator HOST:PORT ' +
        '(VEDETTE_CORRELATOR); vedette up runs both halves on this machine')
    }
    const signal = stopSignal()
    say('agent: loading the probes')
    const agent = await startAgent({ ...agentConfig(values, correlator, data), listen_http })
    for (const line of probeLines(agent.probeStates, 'agent: ')) say(line)
    say(`agent: ${agent.node_id} sends to ${correlator}; spool in ${data}; ` +
      `/metrics on port ${agent.metrics_port}`)
    await untilStopped(signal)
    say('agent: stopping; what waits is delivered or stays in the spool')
    await agent.stop()
    return 0
  },
}
