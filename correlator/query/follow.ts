/** Following: waiting for news, and writing no faster than somebody reads. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import type { JsonLines } from '../grpc.ts'

/** Wakes all who wait. */
export class Signal {
  #waiting: (() => void)[] = []

  fire(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** Resolves with the next `fire`, or when `call` ends. */
  next(call: ServerWritableStream<unknown, JsonLines>): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        call.off('cancelled', wake)
        call.off('close', wake)
        resolve()
      }
      call.once('cancelled', wake)
      call.once('close', wake)
      this.#waiting.push(wake)
      if (call.cancelled || call.destroyed) wake()
    })
  }
}

/** Writes lines and waits until there is room for more. False when nobody reads any longer. */
export async function writeLines(
  call: ServerWritableStream<unknown, JsonLines>, lines: string[],
): Promise<boolean> {
  return lines.length > 0 ? writeMessage(call, { lines }) : !call.cancelled && !call.destroyed
}

/** The same for any message. */
export async function writeMessage<Message>(
  call: ServerWritableStream<unknown, Message>, message: Message,
): Promise<boolean> {
  if (call.cancelled || call.destroyed) return false
  if (!call.write(message)) {
    await new Promise<void>((resolve) => {
      const go = (): void => {
        for (const event of ['drain', 'cancelled', 'close']) call.off(event, go)
        resolve()
      }
      for (const event of ['drain', 'cancelled', 'close']) call.once(event, go)
    })
  }
  return !call.cancelled && !call.destroyed
}
