/**
 * Where a process comes from over the network: the connections that it accepted, and those that its
 * ancestors accepted for it. A few each; closed ones give way before open ones.
 */
import type { HopLink } from '../finding.ts'
import type { LineageProcess } from '../lineage.ts'
import { AcceptedTable, acceptedBit } from './rows/accepted.ts'
import type { Accepted } from './rows/accepted.ts'
import type { Connections } from './connections.ts'
import { isForeign, isLogin } from './logins.ts'

/** A connection that led to a process. */
export interface Origin {
  /** Slot in the connections, and which use of it. */
  connection: number
  serial: number
  link: HopLink
  /** It is the likeliest of so many. */
  of: number
  /** Accepted for a child, which has it now: the next child has another one. */
  claimed: boolean
  /** The peer is the server: a process that calls out and takes orders from there. */
  reverse: boolean
  /**
   * There is more to it than a request or a login: no flow allows it, who opened it was told to by
   * such a one, or on the way from there to the process another program was started.
   */
  tainted: boolean
  /** Executable of the process when `tainted` was last judged for what it runs itself. */
  judgedExe: string
}

/**
 * What leads to one process: what it accepted, and more. Most processes have the same two empty
 * lists, so that who asks finds them near: they are replaced, never changed.
 */
export interface Origins extends Accepted {
  /** How many it accepted that are still open. */
  open: number
  /** Those that it has from its ancestors, or by its standard streams, a descriptor or a file. */
  inherited: readonly Origin[]
  /** What was judged and is no path: numbers of the caller. Void when what leads here changes. */
  quiet: readonly number[]
}

export type OriginsSnapshot = [process: number, origins: Origins][]

const INHERITED_MAX = 6
/** Guesses that a child takes over. */
const LIKELY_MAX = 4
/** So many usable ones are all that are kept: there may be more. */
const GUESSES_MIN = 8
const QUIET_MAX = 4
/** A process acts for a connection until so long after its end. */
const LINGER_MS = 5000
/** A fork and the accept before it are told by two clocks of one kernel. */
const SLACK_MS = 1
const NO_ORIGINS: readonly Origin[] = []
const NO_NUMBERS: readonly number[] = []

/** Rules over the origins of processes; `forgotten` counts those that gave way while open. */
export class OriginRules {
  forgotten = 0
  readonly accepted = new AcceptedTable()
  private readonly connections: Connections
  private readonly processOf: (number: number) => LineageProcess | null

  constructor(
    connections: Connections, processOf: (number: number) => LineageProcess | null,
  ) {
    this.connections = connections
    this.processOf = processOf
  }

  /**
   * A process accepted a connection.
   *
   * @param peer the address of who opened it, as a number
   */
  accept(origins: Origins, slot: number, peer: number, tainted: boolean): void {
    const { accepted, connections } = this
    origins.open++
    if (tainted) origins.quiet = NO_NUMBERS
    const least = accepted.least(origins, peer)
    if (least >= 0) {
      const bits = accepted.bitsAt(origins, least)
      if ((bits & acceptedBit.ended) === 0) this.forgotten++
      if ((bits & acceptedBit.tainted) !== 0) origins.tainted--
      const gone = accepted.slotAt(origins, least)
      const serial = accepted.serialAt(origins, least)
      accepted.remove(origins, least)
      connections.release(gone, serial)
    }
    connections.hold(slot)
    const serial = connections.columns.serial.get(slot)
    if (tainted) origins.tainted++
    accepted.push(origins, slot, serial, peer, tainted ? acceptedBit.tainted : 0)
  }

  /** An accepted connection ended. */
  ended(origins: Origins, slot: number): void {
    origins.open = Math.max(0, origins.open - 1)
    const i = this.accepted.indexOf(origins, slot)
    if (i >= 0) this.accepted.addBits(origins, i, acceptedBit.ended)
  }

  /** An accepted connection turned out to come from somewhere else. True when that is new. */
  taint(origins: Origins, slot: number): boolean {
    const { accepted } = this
    const i = accepted.indexOf(origins, slot)
    if (i < 0 || (accepted.bitsAt(origins, i) & acceptedBit.tainted) !== 0) return false
    accepted.addBits(origins, i, acceptedBit.tainted)
    origins.tainted++
    origins.quiet = NO_NUMBERS
    return true
  }

  /** Others may have told the process what to do at this time, beyond plain requests. */
  isInteresting(origins: Origins, process: LineageProcess, atMs: number): boolean {
    if (this.actsForOthers(origins, process)) return true
    if (origins.tainted === 0) return false
    const { accepted } = this
    for (let i = 0; i < origins.count; i++) {
      if ((accepted.bitsAt(origins, i) & acceptedBit.tainted) === 0) continue
      const slot = accepted.slotAt(origins, i)
      if (this.isUsable(slot, accepted.serialAt(origins, i), atMs)) return true
    }
    return false
  }

  /** Others told the process what to do, for certain: it is no server that was only asked. */
  actsForOthers(origins: Origins, process: LineageProcess): boolean {
    if (origins.inherited.length === 0) return false
    for (const one of this.judged(origins, process)) {
      if (one.tainted && this.isAlive(one)) return true
    }
    return false
  }

  /** What a process has from others, judged by what it runs now. */
  private judged({ inherited }: Origins, process: LineageProcess): readonly Origin[] {
    for (const origin of inherited) {
      if (origin.tainted || origin.judgedExe === process.exe) continue
      origin.judgedExe = process.exe
      const { connection: slot, link } = origin
      const server = this.processOf(this.connections.columns.server.get(slot))
      origin.tainted = link === 'descendant' ? isForeign(process, server)
        : link !== 'exec' && (link !== 'stdio' || (!isLogin(process) && !isLogin(server)))
    }
    return inherited
  }

  /** What was judged is no path, until something else leads to the process. */
  noteQuiet(origins: Origins, number: number): void {
    origins.quiet = [...origins.quiet.slice(1 - QUIET_MAX), number]
  }

  /** One more way in that is not an accept of its own. True when it is new. */
  inherit(
    origins: Origins, slot: number, link: HopLink, of = 1, reverse = false, tainted = false,
  ): boolean {
    let { inherited } = origins
    const known = inherited.find((one) => this.isOf(one, slot))
    if (known !== undefined) {
      if (tainted && !known.tainted) {
        known.tainted = true
        origins.quiet = NO_NUMBERS
      }
      if (link === 'descendant' || known.link === link) return false
      Object.assign(known, { link, of, reverse, judgedExe: '' })
      origins.quiet = NO_NUMBERS
      return false
    }
    if (inherited.length >= INHERITED_MAX) {
      const dead = inherited.findIndex((one) => !this.isAlive(one))
      if (dead < 0) {
        this.forgotten++
        return false
      }
      this.drop(inherited[dead])
      inherited = inherited.toSpliced(dead, 1)
    }
    const origin = this.make(slot, link, of)
    origin.reverse = reverse
    origin.tainted = tainted
    origins.quiet = NO_NUMBERS
    origins.inherited = [...inherited, origin]
    return true
  }

  /** Certain knowledge replaces what was guessed at the fork. */
  replaceGuesses(origins: Origins, slot: number): void {
    const stay = origins.inherited.filter((one) => {
      const goes = one.link === 'descendant' && one.of > 1 && !this.isOf(one, slot)
      if (goes) this.drop(one)
      return !goes
    })
    origins.inherited = stay
  }

  /**
   * What a child has from its parent. A server that forks for each connection gives the child the
   * one that it has just accepted, and no other child has it; one that serves many at once may have
   * been told to by any of them.
   *
   * @param process the parent
   * @param startMs start of the child, milliseconds since boot
   * @param guess false: only what the parent has itself from others
   */
  fork(
    parent: Origins, process: LineageProcess, child: Origins, startMs: number, guess: boolean,
  ): void {
    if (guess) {
      const usable = this.usable(parent, startMs)
      const unclaimed = usable.filter(({ claimed }) => !claimed)
      const likely = unclaimed.length > 0 ? unclaimed : usable
      const of = likely.length < GUESSES_MIN ? likely.length
        : Math.max(parent.open, likely.length)
      if (likely.length === 1) {
        const i = this.accepted.indexOf(parent, likely[0].connection)
        this.accepted.addBits(parent, i, acceptedBit.claimed)
      }
      for (const origin of this.likeliest(likely, startMs).slice(0, LIKELY_MAX)) {
        this.inherit(child, origin.connection, 'descendant', of, false, origin.tainted)
      }
    }
    for (const one of this.judged(parent, process)) {
      if (!this.isAlive(one)) continue
      this.inherit(child, one.connection, one.link, one.of, one.reverse, one.tainted)
    }
  }

  /** Accepted connections for which the process may act at a time, the latest last. */
  usable(origins: Origins, atMs: number): Origin[] {
    const { accepted } = this
    const usable: Origin[] = []
    for (let i = 0; i < origins.count; i++) {
      const slot = accepted.slotAt(origins, i)
      const serial = accepted.serialAt(origins, i)
      if (!this.isUsable(slot, serial, atMs)) continue
      const bits = accepted.bitsAt(origins, i)
      usable.push({
        connection: slot, serial, link: 'same_process', of: 1, reverse: false, judgedExe: '',
        claimed: (bits & acceptedBit.claimed) !== 0, tainted: (bits & acceptedBit.tainted) !== 0,
      })
    }
    return usable
  }

  private isUsable(slot: number, serial: number, atMs: number): boolean {
    const { columns } = this.connections
    if (columns.serial.get(slot) !== serial) return false
    if (columns.serverEndMs.get(slot) < atMs - LINGER_MS) return false
    return columns.serverMs.get(slot) <= atMs + SLACK_MS || this.connections.isAtStart(slot)
  }

  /**
   * Of several that could be the cause, the likeliest is the one from where it takes orders: its
   * standard streams are a connection to this address. That it calls an address says less: so does
   * everybody who asks a name server.
   */
  calledBack(origins: Origins, slot: number): void {
    const { inherited } = origins
    const { columns } = this.connections
    const { clientAddr, serverAddr } = columns
    const orders = columns.addressAt(slot)
    const at = inherited.findIndex(({ connection: other, reverse }) => {
      if (reverse || other === slot) return false
      const from = columns.addressAt(other)
      for (let i = 15; i >= 0; i--) {
        if (clientAddr[from + i] !== serverAddr[orders + i]) return false
      }
      return true
    })
    if (at > 0) origins.inherited = [inherited[at], ...inherited.toSpliced(at, 1)]
  }

  /** Those that were open at a time before those that had just closed; the latest first. */
  likeliest(origins: readonly Origin[], atMs: number): Origin[] {
    const { serverEndMs } = this.connections.columns
    const rank = ({ connection }: Origin): number => serverEndMs.get(connection) >= atMs ? 0 : 1
    return origins.toReversed().sort((a, b) => rank(a) - rank(b))
  }

  isAlive({ connection, serial }: Origin): boolean {
    return this.connections.columns.serial.get(connection) === serial
  }

  /** The process is forgotten. */
  release(origins: Origins): void {
    const { accepted } = this
    for (let i = 0; i < origins.count; i++) {
      this.connections.release(accepted.slotAt(origins, i), accepted.serialAt(origins, i))
    }
    accepted.drop(origins)
    for (const origin of origins.inherited) this.drop(origin)
  }

  private isOf(origin: Origin, slot: number): boolean {
    return origin.connection === slot && this.isAlive(origin)
  }

  private make(slot: number, link: HopLink, of: number): Origin {
    this.connections.hold(slot)
    const serial = this.connections.columns.serial.get(slot)
    return { connection: slot, serial, link, of, claimed: false, reverse: false, tainted: false,
      judgedExe: '' }
  }

  private drop({ connection, serial }: Origin): void {
    this.connections.release(connection, serial)
  }
}

export function newOrigins(): Origins {
  return {
    place: -1, count: 0, tainted: 0, open: 0, inherited: NO_ORIGINS, quiet: NO_NUMBERS,
  }
}

export function originsOf(process: LineageProcess): Origins {
  process.origins ??= newOrigins()
  return process.origins
}
