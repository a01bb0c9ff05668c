/** Ports as a flow writes them. */
import { PORT_MAX } from '../match/ports.ts'
import type { PortRange } from '../match/ports.ts'

/** A service: port and protocol. Port 0: the protocol has none. */
export interface Service { port: number, protocol: string }

/** Ways to command another machine: ssh, telnet, RDP, VNC, WinRM. */
export const COMMAND_PORTS: readonly number[] = [22, 23, 3389, 5900, 5985, 5986]

/** A run of ports becomes a range when it has so many, and so many of its hundred were seen. */
const RANGE_PORTS_MIN = 3
const RANGE_PERCENT_MIN = 75

/**
 * Entries of `ports:`, such as `443/tcp` or `8000-8010/tcp`. Ports become a range only where almost
 * all of the range was seen: no port is let in because its neighbours far away were.
 */
export function portEntries(services: readonly Service[]): string[] {
  const protocols = [...new Set(services.map(({ protocol }) => protocolWord(protocol)))].sort()
  return protocols.flatMap((protocol) => {
    const ports = [...new Set(services.filter((one) => protocolWord(one.protocol) === protocol)
      .map(({ port }) => port))].sort((a, b) => a - b)
    if (ports.includes(0)) return [`any/${protocol}`]
    return runsOf(ports).map(([from, to]) =>
      from === to ? `${from}/${protocol}` : `${from}-${to}/${protocol}`)
  })
}

/** Ranges that were read, as they are written, in the order of their numbers. */
export function formatPorts(ranges: readonly PortRange[]): string[] {
  return ranges.toSorted((a, b) => a.from - b.from || a.to - b.to)
    .map(({ from, to, protocol }) => {
      const ports = from === 0 && to === PORT_MAX ? 'any'
        : from === to ? String(from) : `${from}-${to}`
      return protocol === null ? ports : `${ports}/${protocol}`
    })
}

/** What a policy calls a protocol of events. */
export function protocolWord(protocol: string): string {
  return protocol === 'icmpv6' ? 'icmp' : protocol
}

function runsOf(ports: readonly number[]): [from: number, to: number][] {
  const runs: [number, number][] = []
  for (let i = 0; i < ports.length;) {
    let last = i
    for (let j = i + RANGE_PORTS_MIN - 1; j < ports.length; j++) {
      const seen = 100 * (j - i + 1)
      if (seen < RANGE_PERCENT_MIN * (ports[j] - ports[i] + 1)) break
      last = j
    }
    runs.push([ports[i], ports[last]])
    i = last + 1
  }
  return runs
}
