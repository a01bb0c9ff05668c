import { onReaderGone } from './output.ts'

/**
 * Signals that ask to stop in order. On a terminal SIGHUP means that it is gone; without one, a
 * service is asked to read its policy again (correlator/policy/source.ts).
 */
const SIGNALS: NodeJS.Signals[] = process.stderr.isTTY
  ? ['SIGINT', 'SIGTERM', 'SIGHUP'] : ['SIGINT', 'SIGTERM']
const INTERRUPTED = 130

/**
 * Aborted when the user or a supervisor wants an end, or nobody reads the
 * output any more. A second signal ends at once, for who cannot wait for the draining.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController()
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(INTERRUPTED)
      controller.abort(signal)
    })
  }
  onReaderGone(() => controller.abort('EPIPE'))
  return controller.signal
}

/** Resolves when the signal is aborted. */
export function untilStopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
