/** Regular small flows to one peer. Plain data, kept in the state of NET-010. */

/** What one class of workloads does with one peer. */
export interface Track {
  firstMs: number
  lastMs: number
  /** Milliseconds between flows, a ring of the latest `INTERVALS_MAX`. */
  intervals: number[]
  next: number
  flows: number
  /** Of those flows that have ended. */
  ended: number
  bytes: number
  told: boolean
}

/** How regular a track is. */
export interface Rhythm {
  meanMs: number
  /** Standard deviation in percent of the mean. */
  jitterPercent: number
}

const INTERVALS_MAX = 16
const PEERS_MAX = 64

export function newTrack(nowMs: number): Track {
  return {
    firstMs: nowMs, lastMs: nowMs, intervals: [], next: 0, flows: 1, ended: 0, bytes: 0,
    told: false,
  }
}

/** Another flow. What comes within `mergeMs` of the last one belongs to it. */
export function beat(track: Track, nowMs: number, mergeMs: number): void {
  track.flows++
  const interval = nowMs - track.lastMs
  if (interval < mergeMs) return
  track.lastMs = nowMs
  track.intervals[track.next] = interval
  track.next = (track.next + 1) % INTERVALS_MAX
}

/** Null until the ring is full. The longest eighth is left out: a beat may have been missed. */
export function rhythmOf({ intervals }: Track): Rhythm | null {
  if (intervals.length < INTERVALS_MAX) return null
  const kept = intervals.toSorted((a, b) => a - b).slice(0, INTERVALS_MAX - (INTERVALS_MAX >> 3))
  const meanMs = kept.reduce((sum, one) => sum + one, 0) / kept.length
  const variance = kept.reduce((sum, one) => sum + (one - meanMs) ** 2, 0) / kept.length
  return { meanMs, jitterPercent: 100 * Math.sqrt(variance) / meanMs }
}

/** Keeps a track; the peer that was not heard of for longest leaves when there are too many. */
export function keepTrack(tracks: Map<string, Track>, peer: string, track: Track): boolean {
  tracks.set(peer, track)
  if (tracks.size <= PEERS_MAX) return true
  let oldest = peer
  for (const [name, { lastMs }] of tracks) {
    if (lastMs < tracks.get(oldest)!.lastMs) oldest = name
  }
  tracks.delete(oldest)
  return false
}
