/** What went wrong with a log, as a fact that a caller can act on. */
export type LogErrorCode = keyof typeof LOG_ERRORS

/** Every code of this folder with what to do about it. `docs/errors.md` is made from it. */
export const LOG_ERRORS = {
  LOG_NO_SPACE: 'Free space on this disk or lower the size limit; writing goes on by itself then.',
  LOG_READ_ONLY: 'Remount the file system writable or choose another data folder.',
  LOG_NOT_PERMITTED: 'Give this user read and write permission on the folder and its files.',
  LOG_NOT_FOUND: 'Check the data folder; nothing was ever written here, or it was moved.',
  LOG_IO: 'Check the disk (kernel log, SMART); nothing unsynced was acknowledged.',
  LOG_LOCKED: 'Stop the process that holds the folder or choose another data folder.',
  LOG_FULL: 'The size limit is reached and nothing may be removed; wait until frames have left.',
  LOG_BACKLOG: 'Await sync() before appending more: too much is waiting to become durable.',
  LOG_FRAME_TOO_LARGE: 'Send smaller batches.',
  LOG_DAMAGED: 'Run `vedette verify`; restore the segment from a copy if there is one.',
  LOG_VERSION: 'Read this log with the release that wrote it, or a newer one.',
  LOG_MARK_DAMAGED: 'Remove the mark file: frames are sent again and duplicates are removed.',
  LOG_CLOSED: 'This writer was closed; open the folder again.',
  LOG_BAD_OPTION: 'Correct the option; the message names it and its bounds.',
} as const

/** Where an error happened and what is known about it. */
export interface LogErrorFacts {
  /** What was tried: `open`, `write`, `sync`, `read`, `remove`, … */
  operation: string
  /** File or folder. */
  path: string
  /** Symbolic errno such as `ENOSPC`, when the kernel refused. */
  errno?: string
  /** What happened, in plain words; default: made from operation and errno. */
  what?: string
  cause?: unknown
}

/** The only error that this folder throws on purpose; anything else is a bug in it. */
export class LogError extends Error {
  override readonly name = 'LogError'
  readonly code: LogErrorCode
  readonly operation: string
  readonly path: string
  readonly errno: string | undefined

  constructor(code: LogErrorCode, facts: LogErrorFacts) {
    const what = facts.what ?? `${facts.operation} failed${facts.errno ? `: ${facts.errno}` : ''}`
    super(`${facts.path}: ${what}. ${LOG_ERRORS[code]}`, { cause: facts.cause })
    this.code = code
    this.operation = facts.operation
    this.path = facts.path
    this.errno = facts.errno
  }
}

const CODE_OF_ERRNO: Record<string, LogErrorCode> = {
  ENOSPC: 'LOG_NO_SPACE',
  EDQUOT: 'LOG_NO_SPACE',
  EFBIG: 'LOG_NO_SPACE',
  EROFS: 'LOG_READ_ONLY',
  EACCES: 'LOG_NOT_PERMITTED',
  EPERM: 'LOG_NOT_PERMITTED',
  ENOENT: 'LOG_NOT_FOUND',
  ENOTDIR: 'LOG_NOT_FOUND',
}

/** A failed system call as a LogError; a LogError stays as it is. */
export function logErrorOf(operation: string, path: string, cause: unknown): LogError {
  if (cause instanceof LogError) return cause
  const errno = errnoOf(cause)
  // Not the kernel's refusal but our own mistake: it must not be dressed up as a disk problem.
  if (errno === undefined) throw cause
  return new LogError(CODE_OF_ERRNO[errno] ?? 'LOG_IO', { operation, path, errno, cause })
}

/** The symbolic errno of a failed system call, or undefined. */
export function errnoOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !('errno' in cause) || !('code' in cause)) return undefined
  return String(cause.code)
}

/** Damage met while reading; keys as in the JSON of `vedette verify`. */
export interface LogProblem {
  /** File name of the segment. */
  segment: string
  /** Byte offset in it. */
  offset: number
  /** Position of the first frame that is missing or in doubt. */
  position: number
  /** What is wrong, in plain words. */
  what: string
  /** What to do about it. */
  action: string
}
