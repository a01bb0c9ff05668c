/**
 * The ports of a flow, as written: `443`, `8000-8010`, `any`, each with an optional `/tcp`, `/udp`,
 * `/rdma` or `/icmp`. Without a protocol the entry is good for all of them.
 */
export const PORT_MAX = 65_535

/** Both ends belong to the range. `protocol` null stands for every protocol. */
export type PortRange = { from: number, to: number, protocol: string | null }

/** What is wrong with an entry, in its shape or in its numbers, and what to write instead. */
export type PortFault = { wrong: 'shape' | 'numbers', message: string, fix: string }

const SHAPE = /^(any|([0-9]{1,5})(?:-([0-9]{1,5}))?)(?:\/(tcp|udp|rdma|icmp))?$/

/** Reads one entry; returns a fault, never throws. */
export function parsePorts(entry: number | string): PortRange | PortFault {
  const parts = SHAPE.exec(String(entry))
  if (parts === null) {
    return {
      wrong: 'shape',
      message: `${JSON.stringify(entry)} is not a port, a range or any`,
      fix: 'write 443, 8000-8010, 53/udp, 4791/rdma or any/tcp',
    }
  }
  const protocol = parts[4] ?? null
  if (parts[1] === 'any') return { from: 0, to: PORT_MAX, protocol }
  const from = Number(parts[2])
  const to = Number(parts[3] ?? parts[2])
  if (from > PORT_MAX || to > PORT_MAX) {
    const message = `port ${Math.max(from, to)} is past the last one`
    return { wrong: 'numbers', message, fix: 'write 1 to 65535' }
  }
  if (from > to) {
    const suffix = protocol === null ? '' : `/${protocol}`
    const message = `the range ${from}-${to} is upside down`
    return { wrong: 'numbers', message, fix: `write ${to}-${from}${suffix}` }
  }
  return { from, to, protocol }
}

/** True when `wide` lets through everything that `narrow` does. */
export function portsCover(wide: readonly PortRange[], narrow: readonly PortRange[]): boolean {
  if (wide.length === 0) return true
  if (narrow.length === 0) return false
  return narrow.every((small) => wide.some((big) => {
    return big.from <= small.from && small.to <= big.to &&
      (big.protocol === null || big.protocol === small.protocol)
  }))
}
