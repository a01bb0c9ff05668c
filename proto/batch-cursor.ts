import type { Batch } from './batch.ts'
import { kindInfos, newViews } from './gen/events.ts'
import type { EventKind, EventViews } from './gen/events.ts'

/** An event as detectors and printers see it: a view with a `kind` to switch on. */
export type Event = EventViews[EventKind]

/** Moves one view per kind over the events of a batch, in the order in which they happened. */
export class BatchCursor {
  private readonly views: (Event | undefined)[] = []
  private readonly rows = new Uint32Array(256)

  constructor() {
    const views = newViews()
    for (const { kind, number } of kindInfos) this.views[number] = views[kind]
  }

  /**
   * Calls `visit` with every event of a known kind. The view is moved on afterwards: copy what must
   * be kept. `fromIndex` starts in the middle. Gives the number of events of unknown kinds.
   */
  forEach(batch: Batch, visit: (event: Event) => void, fromIndex = 0): number {
    this.rows.fill(0)
    let unknown = 0
    for (const { kind, number } of kindInfos) {
      const columns = batch.columns[kind]
      const view = this.views[number]
      if (!columns || !view) continue
      view.batch = batch
      view.columns = columns as never
    }
    const { kinds } = batch
    for (let index = 0; index < kinds.length; index++) {
      const number = kinds[index]
      const row = this.rows[number]++
      const view = this.views[number]
      if (!view) unknown++
      if (!view || index < fromIndex) continue
      view.row = row
      view.index = index
      visit(view)
    }
    return unknown
  }
}
