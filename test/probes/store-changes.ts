// For the tests of the probes of what is done to stores: a program that does it, on command.

import { readlinkSync } from 'node:fs'
import { StoreLabels } from '../../agent/stores/labels.ts'
import { WatchedStores } from '../../agent/stores/watched.ts'
import { probeTable } from '../../agent/probes/table.ts'
import type { Probe } from '../../agent/probes/table.ts'
import type { ScopeCgroup } from './scope-cgroup.ts'
import { labelOf, labelOfAll } from './store-ground.ts'
import { waysToTry } from './tables.ts'
import { Watch } from './watch.ts'

/** The walks of the tests come sooner than those of an agent. */
const walkMs = 300

/** The kinds of programs that can see what a probe sees, best first. */
export function waysOf(probe: string): string[] {
  return probeTable.find(({ name }) => name === probe)!.ways.map(({ attach_type: type }) => type)
}

/** Watches with these probes of stores, of which `probe` is attached in one way. */
export function watchDone(
  cgroup: ScopeCgroup, probe: string, attachType: string,
): Watch | string {
  const names = ['store_actor_end', probe, `${probe}_totals`, 'process_exec', 'process_exit']
  const table: Probe[] = probeTable.filter(({ name }) => names.includes(name))
    .map(({ needs: _, ...one }) => ({
      ...one,
      ways: one.ways.filter(({ attach_type: type }) => one.name !== probe || type === attachType)
        .map((way) => way.every_ms ? { ...way, every_ms: walkMs } : way),
    }))
  const watch = new Watch(cgroup, table)
  const state = watch.states.find((one) => one.probe === probe)!
  if (state.state !== 'missing') return watch
  watch.close()
  return state.reason
}

/** The ways that this kernel allows; why the others are not among them is said. */
export function waysHere(cgroup: ScopeCgroup, probe: string): string[] {
  return waysToTry(waysOf(probe).filter((way) => {
    const watch = watchDone(cgroup, probe, way)
    if (typeof watch !== 'string') watch.close()
    // A refusal of one program and not of its kind is a defect of the program.
    else if (/: load failed/.test(watch)) throw new Error(`${probe}: ${watch}`)
    else process.stderr.write(`!! SKIPPED: ${probe} by ${way}: ${watch}\n`)
    return typeof watch !== 'string'
  }))
}

/** The stores of a watch: folders. */
export class Stores {
  readonly #labels: StoreLabels
  readonly #watched: WatchedStores

  constructor(watch: Watch) {
    this.#labels = new StoreLabels(watch.object)
    this.#watched = new WatchedStores(watch.object)
  }

  /** These and no others, of which those in `artifacts` are of artifacts; `all`: a file system. */
  set(
    stores: readonly { folder: string, id: number, all?: boolean }[], artifacts: readonly number[],
  ): void {
    const namespace = Number(/\d+/.exec(readlinkSync('/proc/self/ns/mnt'))![0])
    const failure = this.#labels.set(stores.map(({ folder, id, all }) =>
      all ? labelOfAll(folder, id) : labelOf(folder, id))) ??
      this.#watched.set(artifacts, stores.map(({ folder, id }) =>
        ({ mount_namespace: namespace, path: folder, folder: true, id })))
    if (failure) throw new Error(`${failure.operation}: ${failure.code} ${failure.detail}`)
  }
}

const script = `$| = 1; my @kept; sub write_file { my ($path, $bytes) = @_;
open(my $f, ">", $path) or die "$path: $!"; print $f "x" x $bytes; close $f }
while (<STDIN>) { eval $_; print $@ ? "failed: $@" : "done\\n" }`

/** Runs lines of Perl in the cgroup, as one process. */
export class Changer {
  readonly #program: ReturnType<ScopeCgroup['start']>

  constructor(cgroup: ScopeCgroup, ...before: string[]) {
    const [command, ...words] = [...before, 'perl', '-e', script]
    this.#program = cgroup.start(command, ...words)
  }

  get pid(): number { return this.#program.pid }

  /** One line; throws when it died. */
  async run(line: string): Promise<void> {
    this.#program.tell(`${line}\n`)
    const answer = await this.#program.line()
    if (answer !== 'done') throw new Error(`${line}: ${answer}`)
  }

  async ended(): Promise<void> { await this.#program.ended() }
}
