/** How exposed a proposed zone is, from who reaches it. */
import type { ProposedZone } from './zones.ts'
import type { Told } from './flows.ts'
import { ANY_ZONE, EXTERNAL_ZONE, UNZONED_ZONE } from '../zone-names.ts'

/**
 * Sets the exposure of each zone and says why: public when the outside opens connections to it, or
 * when nothing in it is watched but it opens connections; protected when it has to do with zones of
 * the policy only, none of them unwatched clients; internal otherwise.
 */
export function setExposures(zones: readonly ProposedZone[], flows: readonly Told[]): void {
  const clients = zones.filter(({ unwatched, name }) => unwatched && opens(name, flows))
  const strangers = new Set([EXTERNAL_ZONE, UNZONED_ZONE, ...clients.map(({ name }) => name)])
  for (const zone of zones) {
    const { name } = zone
    const reachedBy = flows.filter(({ to }) => to === name).map(({ from }) => from)
    const reaches = flows.filter(({ from }) => from === name).map(({ to }) => to)
    if (zone.unwatched) {
      zone.exposure = opens(name, flows) ? 'public' : 'internal'
      zone.evidence.push(opens(name, flows)
        ? 'Public: who acts there cannot be seen.' : 'Internal: nothing there was seen to call.')
    } else if (reachedBy.includes(EXTERNAL_ZONE)) {
      zone.exposure = 'public'
      zone.evidence.push('Public: the outside opens connections to it.')
    } else if ([...reachedBy, ...reaches].some((other) =>
      strangers.has(other) || other === ANY_ZONE)) {
      zone.exposure = 'internal'
      zone.evidence.push('Internal: it has to do with more than the zones of this file.')
    } else {
      zone.exposure = 'protected'
      zone.evidence.push('Protected: only zones of this file have to do with it.')
    }
  }
}

function opens(zone: string, flows: readonly Told[]): boolean {
  return flows.some(({ from }) => from === zone)
}
