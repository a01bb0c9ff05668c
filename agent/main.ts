// One node. The stages in order: probe → source → decode → enrich → spool → uplink.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openClock, readBootId } from './clock.ts'
import type { Clock } from './clock.ts'
import { Complaints } from './self/complaints.ts'
import { checkConfig } from './config.ts'
import type { AgentConfig } from './config.ts'
import { Decoder } from './decode.ts'
import { scopeOf } from './enrich/cgroups.ts'
import type { Enricher } from './enrich/enricher.ts'
import { openEnricher } from './enrich/open.ts'
import { AgentError } from './errors.ts'
import { GpuCalls } from './gpu/calls.ts'
import { openGpus } from './gpu/open.ts'
import { close } from './self/http.ts'
import { readKernelFacts } from './probes/kernel-facts.ts'
import { floodKind } from './self/quota-losses.ts'
import { RunMarker } from './self/previous-run.ts'
import { openProbes } from './probes.ts'
import type { OpenProbes, ProbeOptions } from './probes.ts'
import { stateAfterFailure } from './probes/states.ts'
import { probeTable } from './probes/table.ts'
import { openNames } from './names/open.ts'
import { Pulse } from './self/pulse.ts'
import { Source } from './source.ts'
import type { SourceOptions } from './source.ts'
import { Spool } from './spool.ts'
import type { SpoolOptions } from './spool.ts'
import { serve } from './self/serve.ts'
import { statsOf } from './self/status.ts'
import type { AgentStats } from './self/status.ts'
import { openStores } from './stores/open.ts'
import type { Stores } from './stores/open.ts'
import { Uplink } from './uplink.ts'
import type { NativeFailure } from '../native/index.ts'
import type { ProbeState } from '../proto/gen/events.ts'

/** A running agent. */
export interface RunningAgent {
  node_id: string
  boot_id: string
  /** Port of /metrics, /livez and /readyz. */
  metrics_port: number
  /** What each probe can see now. */
  readonly probeStates: readonly ProbeState[]
  stats(): AgentStats
  /** Detaches, delivers what waits (5 s at most), stores the rest. Rejects when that fails. */
  stop(): Promise<void>
}

const drainMs = 5000
const { version } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { version: string }

/**
 * Starts the agent. Rejects with AgentError or LogError when settings, folder or port cannot be
 * used. Probes that the kernel refuses are no error: `probeStates` says what is lost.
 */
export async function startAgent(given: Partial<AgentConfig>): Promise<RunningAgent> {
  const config = checkConfig(given)
  const facts = readKernelFacts()
  const [clock, boot_id] = [openClock(), readBootId()]
  const complaints = new Complaints()
  const complain = complaints.say.bind(complaints)
  const marker = new RunMarker(config.data, boot_id)
  // Closes what is open in reverse order: when the start fails, and at the end.
  await using opened = new AsyncDisposableStack()

  const probes = openProbes({ ...config, ...checkScope(facts.cgroup2, config.scope_cgroup) }, facts)
  opened.defer(() => probes.object?.close())
  const source = openSource(config, probes, {
    consume: (records, bytes) => decoder.decode(records, bytes),
    failed: (program, failure) => pulse.setProbe(stateAfter(program, failure)),
  })
  const decoder = new Decoder({
    takeRecord(record, at, kind) {
      enricher.observe(record, at, kind)
      gpus.observe(record, at, kind)
      if (kind === floodKind) pulse.quotaLosses.take(record, at)
      const texts = textsOf(record, at, kind) ?? stores.complete(record, at, kind)
      if (!loaded.take(record, at, kind)) spool.takeRecord(record, at, kind, texts)
    },
  })
  const names = openNames({
    config, cgroupMount: facts.cgroup2, complain, add: (kind, values) => spool.add(kind, values),
    recovered: () => complaints.over(nameCodes, 'the Kubernetes API answers'),
  })
  opened.defer(() => names.stop())
  const { enricher, loaded, processes, processOf, stop: stopEnricher } = openEnricher({
    cgroupMount: facts.cgroup2, found: names.cgroupFound, clock, root: config.gpu_root,
    pass: (record, kind, texts) => spool.takeRecord(record, 0, kind, texts),
    seen: (workload) => spool.add('workload_seen', workload),
    changed: (pid, startLow, startHigh) => spool.forgetProcess(pid, startLow, startHigh),
  })
  opened.defer(stopEnricher)
  const spool = openSpool(config, { boot_id, clock, factsOf: enricher.factsOf }, complaints)
  opened.defer(() => spool.close().then(() => marker.end()))
  const { callFacts, look, textsOf } = openCalls(config, probes, complain, opened, () => pulse)
  const gpus = openGpus({
    config, complain, callFacts, clock, factsOf: enricher.factsOf, add: spool.add.bind(spool),
    xids: { processOf, noteLoss: (loss) => spool.noteLoss(loss) },
  })
  const stores = openStoresOf(config, probes, { clock, complain, enricher, spool }, () => pulse)
  opened.defer(() => [gpus, stores].forEach((part) => part.stop()))
  const uplink = openUplink(config, spool, clock, complaints, stores)
  opened.defer(() => uplink.stop(drainMs))

  const pulse = new Pulse({
    spool, clock, decoder, version, scopeCgroup: config.scope_cgroup ?? '', kernel: probes.object,
    heartbeatIntervalMs: config.heartbeat_interval_ms, probes: probes.states, lateStates: look,
    undeliverable: () => uplink.eventsLost, execsLost: () => processes.forgetAll(),
  })
  const parts = { decoder, enricher, gpus, names, pulse, source, spool, stores, uplink }
  const http = await serve({
    ...parts, version, address: config.listen_http, mapBytes: () => probes.object?.mapBytes() ?? 0,
  })
  opened.defer(() => close(http))

  pulse.begin(marker.begin())
  opened.defer(() => pulse.end())
  for (const part of [names, gpus, stores, uplink]) part.start()
  source?.start()
  opened.defer(() => [source, loaded].forEach((part) => part?.stop()))
  const running = opened.move()
  return {
    node_id: config.node_id, boot_id, metrics_port: http.port, stop: () => running.disposeAsync(),
    get probeStates() { return pulse.probeStates }, stats: () => statsOf(parts),
  }
}

function openSource(
  { ring_bytes }: AgentConfig, { object: kernel, iterators }: OpenProbes,
  parts: Pick<SourceOptions, 'consume' | 'failed'>,
): Source | undefined {
  return kernel && new Source({ kernel, ring_bytes, iterators, ...parts })
}

function openSpool(
  config: AgentConfig, parts: Pick<SpoolOptions, 'boot_id' | 'clock' | 'factsOf'>,
  complaints: Complaints,
): Spool {
  return new Spool({
    ...parts, dir: join(config.data, 'spool'), node_id: config.node_id,
    bytesMax: config.spool_bytes_max, eventsPerBatchMax: config.events_per_batch_max,
    flushIntervalMs: config.flush_interval_ms, failed: complaints.say.bind(complaints),
    recovered: () => complaints.over(diskCodes, 'the disk of the spool works again'),
  })
}

function openCalls(
  { gpu_root: root }: AgentConfig, { object: kernel, late }: OpenProbes,
  complain: Complaints['say'], opened: AsyncDisposableStack, pulse: () => Pulse,
): GpuCalls {
  const calls = new GpuCalls({
    kernel, root, changed: (state) => pulse().setProbe(state), lookLate: () => late?.look() ?? [],
    failed: ({ operation, code, detail }) =>
      complain(new AgentError('GPU_DEVICES', `${operation} failed (${code}): ${detail}`)),
  })
  opened.defer(() => calls.stop())
  return calls
}

function openStoresOf(
  config: AgentConfig, { object: kernel, late }: OpenProbes,
  parts: { clock: Clock, complain: Complaints['say'], enricher: Enricher, spool: Spool },
  pulse: () => Pulse,
): Stores {
  const { clock, complain, enricher: { factsOf }, spool } = parts
  const { data, artifact_bytes_per_second: bytesPerSecond, artifact_bytes_per_day: bytesPerDay } =
    config
  return openStores({
    data, clock, complain, kernel, add: spool.add.bind(spool),
    artifacts: { bytesPerSecond, bytesPerDay, factsOf },
    looked: (found) => late?.setStores(found).forEach((state) => pulse().setProbe(state)),
  })
}

function openUplink(
  config: AgentConfig, spool: Spool, clock: Clock, complaints: Complaints, stores: Stores,
): Uplink {
  const { correlator: address, tls } = config
  return new Uplink({
    spool, clock, address, tls, version, complain: complaints.say.bind(complaints),
    stores: (message) => stores.take(message),
    recovered: () => complaints.over(uplinkCodes, `the correlator at ${address} answers`),
  })
}

const diskCodes = ['LOG_NO_SPACE', 'LOG_READ_ONLY', 'LOG_NOT_PERMITTED', 'LOG_NOT_FOUND', 'LOG_IO']
const nameCodes = ['KUBERNETES_UNREACHABLE', 'KUBERNETES_REFUSED', 'KUBERNETES_ANSWER',
  'KUBERNETES_ACCESS']
const uplinkCodes = ['UPLINK_UNREACHABLE', 'UPLINK_SILENT', 'UPLINK_REFUSED']

function checkScope(
  mount: string, path: string | undefined,
): Pick<ProbeOptions, 'scope_cgroup_id' | 'scope_cgroup_level' | 'scope_cgroup_dir'> {
  if (path === undefined) return { scope_cgroup_id: 0n, scope_cgroup_level: 0 }
  const scope = scopeOf(mount, path)
  if (scope) {
    const { id, level, dir } = scope
    return { scope_cgroup_id: id, scope_cgroup_level: level, scope_cgroup_dir: dir }
  }
  const where = mount === '' ? 'no cgroup v2 is mounted' : `not found below ${mount}`
  throw new AgentError('AGENT_SCOPE', `scope_cgroup ${path}: ${where}`)
}

function stateAfter(program: string, failure: NativeFailure): ProbeState {
  const state = stateAfterFailure(probeTable, program, failure)
  if (state) return state
  throw new TypeError(`program ${program} is not in the table of probes`)
}
