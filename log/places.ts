/** Remembers where frames stand in segments, so that a read need not walk from the start. */

/** A frame's position and the offset of its header. */
export interface Place {
  position: number
  offset: number
}

/** Distance between remembered places inside a segment. */
const STEP_BYTES = 1024 * 1024
/** Segments whose places are kept; beyond it those of the segment first met are forgotten. */
const SEGMENTS_MAX = 256

/** Sparse index: about one place per MiB read, and the place where the last read ended. */
export class PlaceIndex {
  // By first position of the segment; places in ascending order.
  readonly #segments = new Map<number, Place[]>()
  #resume: Place & { firstPosition: number } | null = null

  /** The last known place at or before `position` in a segment, or null. */
  nearest(firstPosition: number, position: number): Place | null {
    const resume = this.#resume
    if (resume?.firstPosition === firstPosition && resume.position <= position) {
      return { position: resume.position, offset: resume.offset }
    }
    const places = this.#segments.get(firstPosition)
    return places?.findLast((place) => place.position <= position) ?? null
  }

  /** Notes a frame that was stepped over; most calls change nothing. */
  remember(firstPosition: number, position: number, offset: number): void {
    const places = this.#segments.get(firstPosition)
    if (places === undefined) {
      if (this.#segments.size >= SEGMENTS_MAX) this.#forgetFirst()
      this.#segments.set(firstPosition, [{ position, offset }])
    } else if (offset >= places[places.length - 1].offset + STEP_BYTES) {
      places.push({ position, offset })
    }
  }

  /** Notes where a read ended: what a follower asks for next. */
  resumeAt(firstPosition: number, position: number, offset: number): void {
    this.#resume = { firstPosition, position, offset }
  }

  /** Drops what is known of a segment that has changed. */
  forget(firstPosition: number): void {
    this.#segments.delete(firstPosition)
    if (this.#resume?.firstPosition === firstPosition) this.#resume = null
  }

  #forgetFirst(): void {
    for (const key of this.#segments.keys()) {
      this.#segments.delete(key)
      return
    }
  }
}
