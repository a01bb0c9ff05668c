/** What stops the correlator or a part of it, as a fact that a caller can act on. */
export type CorrelatorErrorCode = keyof typeof CORRELATOR_ERRORS

/** Every code of this folder with what to do about it. */
export const CORRELATOR_ERRORS = {
  CONFIG_INVALID: 'Correct the settings named above; `vedette correlator --help` lists them.',
  LISTEN_FAILED: 'Choose another address, or stop the process that holds the port.',
  TLS_UNREADABLE: 'Check the paths under tls: PEM files that this user may read.',
  POLICY_UNREADABLE: 'Check the path of the policy file and that this user may read it.',
  POLICY_BROKEN: 'Correct the policy; `vedette policy check FILE` shows the same with its lines.',
  SNAPSHOT_DAMAGED: 'Nothing to do: an older snapshot or the whole log is used instead.',
} as const

/** The error that this folder throws on purpose; log/ throws LogError beside it. */
export class CorrelatorError extends Error {
  override readonly name = 'CorrelatorError'
  readonly code: CorrelatorErrorCode

  /** @param what what happened and where, without a full stop at the end */
  constructor(code: CorrelatorErrorCode, what: string, cause?: unknown) {
    super(`${what}. ${CORRELATOR_ERRORS[code]}`, { cause })
    this.code = code
  }
}

/** The message of anything that was thrown. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
