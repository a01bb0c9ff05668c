/** What was seen to pass between two zones: connections counted by who, to where and with what. */

/** Parts of the range, to tell a habit from a moment. */
export const SLICES = 10

/** Names one event. */
export interface EventName { node_id: string, boot_id: string, seq: number }

/** Amounts over several connections. Times are milliseconds since 1970. */
export interface Amounts {
  connections: number
  bytes_sent: number
  bytes_received: number
  first_ms: number
  last_ms: number
  /** Bit i: seen in the i-th of `SLICES` equal parts of the range. */
  slices: number
  example: EventName
}

/** Connections that look the same from zone to zone. Bytes are those of the opening end. */
export interface Edge extends Amounts {
  from: string
  to: string
  protocol: string
  /** Of the accepting end; 0 where the protocol has none. */
  port: number
  /** Executable of the opening process; '' when not known. */
  exe: string
  /** Workload of the opening process, else its address. */
  opener: string
  /** Address of the accepting end. */
  server: string
  /** DNS names that were seen for that address. */
  server_names: readonly string[]
  established: boolean
  /** The incident that one of the connections is part of; '' for none. */
  incident: string
}

/** What all have in common: a kind of client and one service between two zones. */
export interface Line extends Amounts {
  from: string
  to: string
  protocol: string
  port: number
  exe: string
  openers: Set<string>
  servers: Set<string>
  /** Names by server; one without a name has an empty list. */
  names: Map<string, readonly string[]>
}

/** Adds amounts; the earlier example stays. */
export function addAmounts(to: Amounts, from: Amounts): void {
  to.connections += from.connections
  to.bytes_sent += from.bytes_sent
  to.bytes_received += from.bytes_received
  to.slices |= from.slices
  if (from.first_ms < to.first_ms) {
    to.first_ms = from.first_ms
    to.example = from.example
  }
  to.last_ms = Math.max(to.last_ms, from.last_ms)
}

/** Several as one. The list must not be empty. */
export function sumOf(list: readonly Amounts[]): Amounts {
  const { connections, bytes_sent, bytes_received, first_ms, last_ms, slices, example } = list[0]
  const sum = { connections, bytes_sent, bytes_received, first_ms, last_ms, slices, example }
  for (const one of list.slice(1)) addAmounts(sum, one)
  return sum
}

/** Number of parts of the range in which it was seen. */
export function slicesSeen({ slices }: Amounts): number {
  let count = 0
  for (let rest = slices; rest > 0; rest &= rest - 1) count++
  return count
}

/** Joins edges that differ in their ends only. In the order of zones, service and executable. */
export function linesOf(edges: readonly Edge[]): Line[] {
  const lines = new Map<string, Line>()
  for (const edge of edges) {
    const { from, to, protocol, port, exe, opener, server } = edge
    const key = JSON.stringify([from, to, protocol, port, exe])
    let line = lines.get(key)
    if (line === undefined) {
      lines.set(key, line = {
        ...sumOf([edge]), from, to, protocol, port, exe,
        openers: new Set(), servers: new Set(), names: new Map(),
      })
    } else addAmounts(line, edge)
    line.openers.add(opener)
    line.servers.add(server)
    line.names.set(server, edge.server_names)
  }
  return [...lines.values()].sort(compareLines)
}

/** By zones, then service, then executable. */
export function compareLines(
  a: Pick<Line, 'from' | 'to' | 'port' | 'protocol' | 'exe'>,
  b: Pick<Line, 'from' | 'to' | 'port' | 'protocol' | 'exe'>,
): number {
  const order = (x: string, y: string): number => x < y ? -1 : x > y ? 1 : 0
  return order(a.from, b.from) || order(a.to, b.to) || a.port - b.port ||
    order(a.protocol, b.protocol) || order(a.exe, b.exe)
}
