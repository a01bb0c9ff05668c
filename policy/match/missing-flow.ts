import { PORT_MAX, parsePorts } from './ports.ts'

/** The connection that no flow allows; zones by name. */
export type Unallowed = {
  from: string
  to: string
  port: number
  protocol: string
  exe: string | null
  /** `namespace/name` of the opening pod; null or '' when it is in none, or that is not known. */
  serviceAccount?: string | null
}

/**
 * The rule that was missing: an entry to put below `flows:`, two blanks deep, that would allow this
 * connection and as little else as the policy can say. The reason is left for a person to give.
 *
 * The executable is hostile text: it is quoted, and left out when it cannot be said exactly.
 */
export function missingFlow(unallowed: Unallowed): string {
  const { from, to, port, protocol, exe, serviceAccount } = unallowed
  const lines = [`  - from: ${from}`, `    to: ${to}`]
  const word = protocol === 'icmpv6' ? 'icmp' : protocol
  const ports = `${port > 0 && port <= PORT_MAX ? port : 'any'}/${word}`
  // A protocol that the policy has no word for cannot be narrowed to.
  if (!('message' in parsePorts(ports))) lines.push(`    ports: [${ports}]`)
  else if (port > 0 && port <= PORT_MAX) lines.push(`    ports: [${port}]`)
  if (exe !== null && /^\/[^*?[\]{}\p{Cc}\p{Cs}\ufffd]{1,511}$/u.test(exe)) {
    lines.push(`    executables: [${JSON.stringify(exe)}]`)
  }
  if (serviceAccount && /^[a-z0-9][-a-z0-9]*\/[a-z0-9][-.a-z0-9]*$/.test(serviceAccount)) {
    lines.push(`    service_accounts: [${serviceAccount}]`)
  }
  lines.push('    reason: say here why this is needed')
  return `${lines.join('\n')}\n`
}
