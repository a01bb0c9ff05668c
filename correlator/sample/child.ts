/**
 * A correlator in a process of its own, to be killed: `node child.ts JSON-CONFIG`. Prints one line
 * of JSON with its ports, then what it reports; SIGTERM stops it in order.
 */
import { startCorrelator } from '../main.ts'
import type { CorrelatorConfig } from '../config.ts'
import { sampleDetector } from './sample-detector.ts'

const config = JSON.parse(process.argv[2]) as CorrelatorConfig
const correlator = await startCorrelator(
  { listen: '127.0.0.1:0', listen_http: '127.0.0.1:0', ...config }, { detectors: [sampleDetector] })
process.stdout.write(`${JSON.stringify(correlator)}\n`)
// The test that started us is gone, however it ended.
process.stdin.on('end', () => process.exit(1)).resume()
process.once('SIGTERM', () => {
  void correlator.stop().then(() => process.exit(0))
})
