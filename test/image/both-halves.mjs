// Runs inside the image: both halves in one process, until this process is in the event log. Prints
// what came of it as one line of JSON.
import { startAgent } from '/opt/vedette/agent/main.ts'
import { startCorrelator } from '/opt/vedette/correlator/main.ts'

const local = '127.0.0.1:0'
const data = '/tmp/vedette-image-test'
const triesMax = 100

const correlator = await startCorrelator({
  listen: local, listen_http: local, data: `${data}/correlator`,
})
const agent = await startAgent({
  correlator: `127.0.0.1:${correlator.grpc_port}`, data: `${data}/agent`, listen_http: local,
  node_id: 'image', flush_interval_ms: 50,
})
const text = async (port, path) => (await fetch(`http://127.0.0.1:${port}${path}`)).text()
const stored = async () => {
  const metrics = await text(correlator.http_port, '/metrics')
  return Number(/^vedette_log_events_total\{kind="process_exec"\} (\d+)/m.exec(metrics)?.[1] ?? 0)
}
let execs = 0
for (let tries = 0; tries < triesMax && execs === 0; tries++) {
  await new Promise((resolve) => setTimeout(resolve, 100))
  execs = await stored()
}
const ready = (await text(agent.metrics_port, '/readyz')).trim()
await agent.stop()
await correlator.stop()
process.stdout.write(`${JSON.stringify({ ready, execs })}\n`)
