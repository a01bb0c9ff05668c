/**
 * Where a store is reached over the network, as written: an address or range (`10.50.0.7:5432`,
 * `[fd00::7]:9000`, `10.50.0.0/28`), a DNS name (`*.s3.example.com:443`), or what Kubernetes has
 * there (`service:storage/minio:9000`, `pod:storage/db-*`). Without a port it is every port.
 */
import { parseCidr } from './cidr.ts'
import type { Cidr } from './cidr.ts'
import { compileGlob } from './glob.ts'
import type { Glob } from './glob.ts'
import { PORT_MAX } from './ports.ts'

/** An endpoint made ready. Exactly one of the three is not null; `port` 0 stands for every port. */
export type Endpoint = { port: number, cidr: Cidr | null, name: Glob | null, workload: Glob | null }

/** What is wrong with an endpoint, and what to write instead. */
export type EndpointFault = { message: string, fix: string }

const WORKLOAD = /^(?:service|pod|node):[^:?[\]{}\s]+$/
/** Digits and dots, or hexadecimal digits and colons; whether it is one, the CIDR says. */
const ADDRESS = /^(?:[0-9.]+|(?=.*:)[0-9a-fA-F:.]+)(?:\/[0-9]+)?$/
const NAME = /^[-A-Za-z0-9_*]+(\.[-A-Za-z0-9_*]+)*$/
const FORMS = 'write 10.50.0.7:5432, [fd00:50::7]:9000, s3.example.com:443 or ' +
  'service:storage/minio:9000; the port can be left out'

/** Reads one endpoint; returns a fault, never throws. */
export function parseEndpoint(text: string): Endpoint | EndpointFault {
  const [place, portText] = split(text)
  const port = Number(portText ?? 0)
  if (portText !== null && (port < 1 || port > PORT_MAX)) {
    return { message: `${quote(text)} has a port that is none`, fix: 'write 1 to 65535' }
  }
  const nowhere = { port, cidr: null, name: null, workload: null }
  if (WORKLOAD.test(place)) return { ...nowhere, workload: compileGlob(place) }
  if (ADDRESS.test(place)) {
    const cidr = parseCidr(place)
    return 'message' in cidr ? cidr : { ...nowhere, cidr }
  }
  if (!NAME.test(place)) {
    const url = /^[a-z0-9+]+:\/\//.test(text)
    return { message: `${quote(text)} is no endpoint${url ? ', but a URL' : ''}`, fix: FORMS }
  }
  if (/^[*.]+$/.test(place)) {
    return { message: `${quote(text)} is every name there is`, fix: FORMS }
  }
  return { ...nowhere, name: compileGlob(place.toLowerCase()) }
}

/**
 * Reads an endpoint that was checked before.
 *
 * @throws TypeError when it is none
 */
export function endpointOf(text: string): Endpoint {
  const endpoint = parseEndpoint(text)
  if ('message' in endpoint) throw new TypeError(`policy: ${endpoint.message}; ${endpoint.fix}`)
  return endpoint
}

/** The place, and the port behind its last colon. IPv6 needs brackets to have a port. */
function split(text: string): [place: string, port: string | null] {
  const bracketed = /^\[([^\]]*)\](?::([0-9]{1,5}))?$/.exec(text)
  if (bracketed !== null) return [bracketed[1], bracketed[2] ?? null]
  const workload = /^((?:service|pod|node):[^:]*)(?::([0-9]{1,5}))?$/.exec(text)
  if (workload !== null) return [workload[1], workload[2] ?? null]
  const plain = /^([^:]*):([0-9]{1,5})$/.exec(text)
  return plain === null ? [text, null] : [plain[1], plain[2]]
}

function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text)
}
