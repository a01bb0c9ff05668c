/** Whether the log says of an address already what is about to be written. */
import type { AddressNames } from '../../detect/names/address-names.ts'
import type { SeenAddress } from '../../kubernetes/addresses.ts'
import { parseAddress } from '../../proto/address.ts'

/** What was told to be gone counts this long at most, by the watermark. */
const GONE_MS_MAX = 120_000

/**
 * True when writing it would change nothing that anybody could see. In doubt false: what is told
 * twice costs some bytes.
 *
 * @param address with a valid `seen_addr`
 */
export function saysAlready(
  { names, watermarkMs }: { names: AddressNames, watermarkMs: number }, address: SeenAddress,
): boolean {
  const name = names.find(parseAddress(address.seen_addr), 0, address.port, watermarkMs)
  const same = name !== null && name.kind === address.address_kind
    && name.workload === address.workload
  if (!same) return address.gone
  const dnsUntilMs = Math.min(Infinity, ...name.dns.map(({ untilMs }) => untilMs))
  if (address.gone) return name.untilMs < dnsUntilMs
  // It ends soon when it was told to be gone, or when a DNS name does: which, cannot be told.
  const stays = name.untilMs > watermarkMs + GONE_MS_MAX
  return stays && name.namespace === address.namespace
    && name.service_account === address.service_account && name.on_node === address.on_node
    && name.translated === address.translated && name.labels.length === address.labels.length
    && name.labels.every((label, i) => label === address.labels[i])
}
