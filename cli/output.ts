/** The screen: data goes to stdout, everything else to stderr. */
import { once } from 'node:events'
import { styleText } from 'node:util'

/** Colours by meaning. */
export type Tone = 'good' | 'warning' | 'bad' | 'faint' | 'strong'

const STYLES = {
  good: 'green', warning: 'yellow', bad: 'red', faint: 'dim', strong: 'bold',
} as const

/** Width for human output: the terminal's, or 100 columns where there is none. */
export function screenWidth(): number {
  return process.stdout.isTTY ? Math.max(40, process.stdout.columns) : 100
}

/** Text in its tone; plain when the stream that it is for is no terminal, or NO_COLOR is set. */
export function tone(
  kind: Tone, text: string, stream: NodeJS.WriteStream = process.stdout,
): string {
  return styleText(STYLES[kind], text, { stream })
}

/** The tone of a severity, of a state of a probe or of a fact. */
export function toneOf(word: string): Tone {
  switch (word) {
    case 'critical': case 'high': case 'missing': case 'bad': return 'bad'
    case 'medium': case 'degraded': return 'warning'
    case 'attached': case 'have': case 'good': return 'good'
    default: return 'faint'
  }
}

/** Writes lines to stdout; waits while the reader is slow, so that nothing piles up in memory. */
export async function printLines(lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  if (process.stdout.write(`${lines.join('\n')}\n`)) return
  // A reader that went away is told to `onReaderGone`; here it only ends the waiting.
  await once(process.stdout, 'drain').catch(() => undefined)
}

/** Writes one line for people to stderr. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

/**
 * A reader that went away (`vedette events | head`) is no error: `gone` is called once, and what is
 * written later is dropped. Without this, Node ends with a stack trace.
 */
export function onReaderGone(gone: () => void): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error')
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error
      gone()
    })
  }
}
