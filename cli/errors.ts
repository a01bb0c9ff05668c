/** What stops a command, with what to do about it. */
export const CLI_ERRORS = {
  CLI_USAGE: 'See --help.',
  CLI_CONFIG: 'Correct the configuration file.',
  CLI_UNREACHABLE: 'Start it with `npm start` or `vedette up`, name another one with --server, ' +
    'or read a data folder with --data DIR.',
  CLI_REFUSED: 'The correlator said so.',
  CLI_NO_DATA: 'Name the folder that `vedette up` or `vedette correlator` was given as --data.',
  CLI_UNREADABLE: 'Check the path, and that this user may read it.',
  CLI_NOT_ROOT: 'Run it as root, with sudo for example.',
  CLI_DRILL: 'Look at `vedette doctor` and at what `vedette up` prints.',
} as const

export type CliErrorCode = keyof typeof CLI_ERRORS

/** The error that commands throw on purpose: it is printed without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly code: CliErrorCode

  /** @param what what happened and where, in plain words; a full stop is added where one is due */
  constructor(code: CliErrorCode, what: string, cause?: unknown) {
    super(`${what}${/[.?!]$/.test(what) ? '' : '.'} ${CLI_ERRORS[code]}`, { cause })
    this.code = code
  }
}

/** Codes that mean that the command was not called rightly. */
const USAGE_CODES = new Set(['CLI_USAGE', 'CLI_CONFIG', 'CONFIG_INVALID', 'AGENT_CONFIG',
  'KUBERNETES_ACCESS'])
const EXPECTED = new Set(['CliError', 'AgentError', 'CorrelatorError', 'KubernetesError',
  'LogError', 'BatchError', 'DrillError', 'AddonMissingError'])

/** A person's mistake or the machine's refusal has a code of ours; anything else is a defect. */
export function isExpected(error: unknown): error is Error & { code: string } {
  return error instanceof Error && 'code' in error &&
    EXPECTED.has(error.name === 'Error' ? error.constructor.name : error.name)
}

/** 2 for wrong usage, 1 for everything else. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return isExpected(error) && USAGE_CODES.has(error.code) ? 2 : 1
}
