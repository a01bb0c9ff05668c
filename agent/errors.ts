// What can go wrong in the agent, each with what to do about it. docs/errors.md is made from this.

/** Every code of this folder with what to do about it. */
export const AGENT_ERRORS = {
  AGENT_CONFIG: 'Correct the named settings.',
  AGENT_PORT_IN_USE: 'Stop the process that listens there, or choose another --listen-http ' +
    'address (port 0 lets the system choose).',
  AGENT_LISTEN: 'Choose an address of this machine and a port that this user may open.',
  AGENT_SCOPE: 'Name a cgroup v2 below the mount, such as /system.slice/a.service.',
  AGENT_TLS: 'Give readable PEM files: the CA of the correlator, and the certificate and key of ' +
    'this node.',
  UPLINK_UNREACHABLE: 'Start the correlator or correct its address; events wait in the spool.',
  UPLINK_SILENT: 'Look at the correlator: it took batches but did not acknowledge them.',
  UPLINK_REFUSED: 'Correct what the correlator names; events wait in the spool until it accepts.',
  UPLINK_BATCH_REFUSED: 'A gap event tells what is missing; please report this as a defect.',
  GPU_STATE_UNREADABLE: 'It is tried again every minute; please report this as a defect.',
  GPU_DEVICES: 'Devices of GPUs with dynamic numbers are not watched until it works; it is tried ' +
    'again with every heartbeat.',
  GPU_LOG_UNREADABLE: 'Run the agent with CAP_SYSLOG, and give its container /dev/kmsg.',
  ARTIFACT_UNREADABLE: 'The files of artifacts after it are read; look at its file system.',
  STORES_REFUSED: 'Use the same release on both ends; the stores stay as they were.',
  STORES_SAVED: 'Repair or remove it; the correlator tells the stores again.',
  STORES_UNREADABLE: 'It is tried again; please report this as a defect.',
  STORE_LABELS: 'Files of these stores are not watched until it works; it is tried again.',
  SPOOL_DAMAGED: 'Check the disk; a gap event names what is lost.',
} as const

export type AgentErrorCode = keyof typeof AGENT_ERRORS

/** The only error that the agent throws on purpose beside LogError of its spool. */
export class AgentError extends Error {
  override readonly name = 'AgentError'
  readonly code: AgentErrorCode

  /** @param what what happened and where, in plain words, without a full stop. */
  constructor(code: AgentErrorCode, what: string, cause?: unknown) {
    super(`${what}. ${AGENT_ERRORS[code]}`, { cause })
    this.code = code
  }
}
