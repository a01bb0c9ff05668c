// The probes, and for each the ways to attach it, best first. What is lost is said in plain words.

import type { AttachType } from '../../native/index.ts'
import { datagramProbes } from './datagrams.ts'
import { driverProbes } from './drivers.ts'
import { fileProbes } from './files.ts'
import { gpuProbes } from './gpu.ts'
import { moduleProbes, unixProbe } from './modules.ts'
import { storeWriteProbes } from './store-writes.ts'
import { storeProbes } from './stores.ts'

/** One way to attach a probe: programs that are loaded and attached together. */
export interface ProbeWay {
  programs: readonly string[]
  attach_type: AttachType
  /** What this way cannot see although it is attached; '' when it sees everything. */
  lost: string
  /**
   * Attached only while this kernel module is there, since it costs others: when no better way is
   * left, the probe waits for the module.
   */
  module?: string
  /** Of an iterator: source runs it on this period, and a last time at the end. Absent: once. */
  every_ms?: number
}

/** One probe. `probe_state` events and `vedette doctor` speak of it by `name`. */
export interface Probe {
  name: string
  /**
   * The kernel module that it watches. Not loaded: the probe waits for it, and is attached then.
   * As long as it is attached, the module cannot be unloaded, unless the probe is `untyped`.
   */
  module?: string
  /** It uses no types of the module: one built elsewhere is as good, and it may be replaced. */
  untyped?: boolean
  /**
   * `modules`: the kernel must be able to load modules at all; one that cannot has nothing to watch
   * here. `stores`: attached only while there is a store on this node, since it costs others.
   */
  needs?: 'modules' | 'stores'
  /** Not attached where that probe, which comes before it, is attached so: it sees all of this. */
  unless?: { probe: string, attach_type: AttachType }
  /** Best first. */
  ways: readonly ProbeWay[]
  /** What nobody sees when no way is left. */
  lost: string
}

const acceptLost = 'which worker of a pre-forking server accepted a connection: ' +
  'the listening process is named instead'

/**
 * In the order in which they are attached: what is most often refused first, so that a refusal
 * costs no record; and who accepts before what was accepted. Iterators are run later, by source, in
 * this order.
 */
export const probeTable: readonly Probe[] = [
  {
    name: 'connection_accept',
    ways: [
      { programs: ['connection_accept_fexit'], attach_type: 'fexit', lost: '' },
      { programs: ['connection_accept_kretprobe'], attach_type: 'kretprobe', lost: '' },
    ],
    lost: acceptLost,
  },
  {
    name: 'connection_refused_locally',
    ways: [
      { programs: ['connect_v4_fexit', 'connect_v6_fexit'], attach_type: 'fexit', lost: '' },
      {
        programs: [
          'connect_v4_kprobe', 'connect_v4_kretprobe', 'connect_v6_kprobe', 'connect_v6_kretprobe',
        ],
        attach_type: 'kretprobe', lost: '',
      },
    ],
    lost: 'connect() calls that the node itself refuses, such as those without a route',
  },
  ...datagramProbes,
  unixProbe,
  ...fileProbes,
  ...gpuProbes,
  ...driverProbes,
  ...storeProbes,
  ...storeWriteProbes,
  {
    name: 'socket_received',
    ways: [
      { programs: ['socket_received_fentry'], attach_type: 'fentry', lost: '' },
      {
        programs: ['socket_received_kprobe'], attach_type: 'kprobe',
        lost: 'whose a listening or UDP socket was that a process got from another one',
      },
      {
        programs: ['socket_send_tp_btf', 'socket_receive_tp_btf'], attach_type: 'tp_btf',
        lost: 'how a process got the connection of another one, and until it uses it that it ' +
          'did; listening and UDP sockets that it got',
      },
    ],
    lost: 'connections and listening sockets that a process got from another one by descriptor',
  },
  {
    name: 'connection_state',
    ways: [{ programs: ['connection_state_tp_btf'], attach_type: 'tp_btf', lost: '' }],
    lost: 'every TCP connection: opened, closed and failed',
  },
  {
    name: 'process_orphan',
    ways: [{ programs: ['process_orphan_tp_btf'], attach_type: 'tp_btf', lost: '' }],
    lost: 'the true parent of a process whose parent ended first',
  },
  {
    name: 'process_exit',
    ways: [{ programs: ['process_exit_tp_btf'], attach_type: 'tp_btf', lost: '' }],
    lost: 'the end of processes',
  },
  {
    name: 'process_exec',
    ways: [{ programs: ['process_exec_tp_btf'], attach_type: 'tp_btf', lost: '' }],
    lost: 'the programs that processes run, and their ancestry',
  },
  {
    name: 'process_forked',
    ways: [{ programs: ['process_forked_tp_btf'], attach_type: 'tp_btf', lost: '' }],
    lost: 'the parent of a process that forked and ran no program, until it ends',
  },
  {
    name: 'process_stdio',
    ways: [{ programs: ['process_stdio_tp_btf'], attach_type: 'tp_btf', lost: '' }],
    lost: 'programs whose standard streams are a socket: reverse shells',
  },
  {
    name: 'listeners_at_start',
    ways: [{ programs: ['listener_iter'], attach_type: 'iterator', lost: '' }],
    lost: 'which process listens on ports that were opened before the agent started',
  },
  {
    name: 'connection_repeats',
    ways: [{ programs: ['repeats_iter'], attach_type: 'iterator', every_ms: 1000, lost: '' }],
    lost: 'nothing, but like connections are told one by one however many they are',
  },
  {
    name: 'connection_totals',
    ways: [{ programs: ['sockets_iter'], attach_type: 'iterator', every_ms: 10_000, lost: '' }],
    lost: 'how much a connection has moved, until it ends',
  },
  {
    name: 'cgroup_quota',
    ways: [{ programs: ['quotas_iter'], attach_type: 'iterator', every_ms: 1000, lost: '' }],
    lost: 'which cgroup floods: there is no quota, and a flood costs the events of everybody',
  },
  {
    name: 'processes_at_start',
    ways: [{ programs: ['process_iter'], attach_type: 'iterator', lost: '' }],
    lost: 'the processes that ran before the agent started',
  },
  {
    name: 'connections_at_start',
    ways: [{ programs: ['connection_iter'], attach_type: 'iterator', lost: '' }],
    lost: 'the connections and the listening ports that were there before the agent started',
  },
  ...moduleProbes,
]
