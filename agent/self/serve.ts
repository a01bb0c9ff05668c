import type { Server } from 'node:http'
import type { ProbeState } from '../../proto/gen/events.ts'
import { listen } from './http.ts'
import { metricsRegistry } from './metrics.ts'
import type { MetricSources } from './metrics.ts'
import type { Pulse } from './pulse.ts'
import { notReady } from './status.ts'

export interface ServeOptions extends Omit<MetricSources, 'probes'> {
  /** `host:port`. */
  address: string
  pulse: Pulse
}

/** Serves the state of the agent over HTTP. Rejects with AgentError. */
export function serve(options: ServeOptions): Promise<Server & { port: number }> {
  const probes = (): readonly ProbeState[] => options.pulse.probeStates
  return listen({
    listen: options.address,
    registry: metricsRegistry({ ...options, probes }),
    problems: () => notReady(options),
  })
}
