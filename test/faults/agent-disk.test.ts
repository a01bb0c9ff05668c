import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventsOf, framesIn, withFolder } from '../../agent/sample/spool.ts'

const AGENT = join(import.meta.dirname, '../../agent')
const IMPORTS = `
  import { rmSync, writeFileSync } from 'node:fs'
  import { setTimeout } from 'node:timers/promises'
  import { noisyExec } from '${AGENT}/sample/records.ts'
  import { eventsOf, framesIn, sampleSpool, take } from '${AGENT}/sample/spool.ts'
  const print = (value) => console.log(JSON.stringify(value))
  let made = 0
  const said = []
  const options = {
    failed: (error) => said.push(error.code + ' ' + error.message),
    recovered: () => said.push('recovered'), eventsPerBatchMax: 2000,
  }
  function addEvents(spool, count) {
    for (let i = 0; i < count; i++) take(spool, [noisyExec(made++)])
  }
  const account = (spool) => spool.accounts.of('process_exec')`

function run(script: string, command: string[] = [], env: NodeJS.ProcessEnv = {}) {
  const line = [...command, process.execPath, '--input-type=module', '--eval', IMPORTS + script]
  const child = spawnSync(line[0], line.slice(1), {
    encoding: 'utf8', env: { ...process.env, ...env },
  })
  expect(child.stderr).toBe('')
  return child.stdout.trim().split('\n').map((text) => JSON.parse(text))
}

const canMount = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs none /mnt']).status === 0
const hasCompiler = spawnSync('cc', ['--version']).status === 0
if (!canMount) console.warn('SKIPPED: a full disk on a tmpfs needs root and unshare -m')
if (!hasCompiler) console.warn('SKIPPED: a failing disk needs a C compiler (cc)')

test.skipIf(!canMount)(
  'with a full disk the agent goes on, counts what it refuses, and tells the gap when there is room',
  () => withFolder((dir) => {
    const mount = `mount -t tmpfs -o size=6m none ${dir} && exec "$0" "$@"`
    const [during, after] = run(`
      const dir = ${JSON.stringify(dir)}
      writeFileSync(dir + '/ballast', Buffer.alloc(5_000_000))
      const spool = sampleSpool(dir + '/spool', options)
      // More than the disk and the memory for unwritten frames hold together.
      for (let round = 0; round < 60; round++) {
        addEvents(spool, 1000)
        await spool.flush()
      }
      print({ made, ...account(spool), said: said.slice(0, 1), fill: spool.store.fill,
        problem: spool.store.problem?.code })
      rmSync(dir + '/ballast')
      // What waited in memory may be more than the disk holds at all: it leaves as it is taken.
      for (let round = 0; spool.store.problem && round < 100; round++) {
        await spool.flush()
        const positions = [...spool.store.read(0, () => {})].map(({ position }) => position)
        if (positions.length > 0) spool.store.acknowledge(positions.at(-1), positions.length, 0)
        await setTimeout(100)
      }
      const { dropped } = account(spool)
      addEvents(spool, 10)
      await spool.flush()
      await spool.close()
      const gaps = eventsOf(framesIn(dir + '/spool'), 'event_kind', 'count', 'stage', 'reason')
        .filter(({ kind }) => kind === 'gap').map(({ values }) => values)
      print({ made, dropped, after: account(spool), said: said.at(-1), gaps })`,
    ['unshare', '-m', 'sh', '-c', mount])
    expect(during.said[0]).toMatch(/^LOG_NO_SPACE .*Free space on this disk/)
    expect(during.problem).toBe('LOG_NO_SPACE')
    expect(during.dropped).toBeGreaterThan(0)
    expect(during.dropped + during.stored).toBe(during.made)
    expect(after.said).toBe('recovered')
    expect(after.after.dropped).toBe(after.dropped)
    expect(after.after.dropped + after.after.stored).toBe(after.made)
    const told = after.gaps.reduce((sum: number, { count }: { count: number }) => sum + count, 0)
    expect(told).toBe(after.dropped)
    expect(after.gaps[0]).toMatchObject({ event_kind: 'process_exec', stage: 'spool' })
    expect(after.gaps[0].reason).toContain('LOG_NO_SPACE')
  }), 60_000)

test.skipIf(!canMount)(
  'a spool on a read-only disk is refused with a clear error, and goes on where it was afterwards',
  () => withFolder((dir) => {
    const mount = `mount -t tmpfs -o size=30m none ${dir} && exec "$0" "$@"`
    const [during, after] = run(`
      import { execFileSync } from 'node:child_process'
      const dir = ${JSON.stringify(dir)}
      const spool = sampleSpool(dir + '/spool', options)
      addEvents(spool, 500)
      await spool.flush()
      print({ stored: account(spool).stored, waiting: spool.store.waitingFrames })
      await spool.close()
      execFileSync('mount', ['-o', 'remount,ro', dir])
      let refused
      try { sampleSpool(dir + '/spool', options) } catch (error) { refused = error }
      execFileSync('mount', ['-o', 'remount,rw', dir])
      const again = sampleSpool(dir + '/spool', options)
      await again.close()
      print({ code: refused.code, message: refused.message,
        seqs: again.firstSeq - spool.firstSeq })`,
    ['unshare', '-m', 'sh', '-c', mount])
    expect(during).toEqual({ stored: 500, waiting: 1 })
    expect(after.code).toBe('LOG_READ_ONLY')
    expect(after.message).toMatch(/Remount the file system writable/)
    expect(after.seqs).toBe(500)
  }))

test.skipIf(!hasCompiler).each(['WRITE', 'SYNC'])(
  'when the disk fails a %s nothing is lost: frames wait in memory and are written again',
  (operation) => withFolder((dir) => {
    const library = join(dir, 'failing-disk.so')
    const source = join(import.meta.dirname, 'failing_disk.c')
    execFileSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'])
    const fail = join(dir, 'fail')
    const [line] = run(`
      const spool = sampleSpool(${JSON.stringify(join(dir, 'spool'))}, options)
      addEvents(spool, 100)
      await spool.flush()
      writeFileSync(${JSON.stringify(fail)}, '')
      addEvents(spool, 100)
      const failed = await spool.flush()
      const { synced, problem } = spool.store
      rmSync(${JSON.stringify(fail)})
      // It is tried again without being asked.
      while (spool.store.problem) await setTimeout(50)
      print({ failed, synced, code: problem.code, said, now: spool.store.synced })
      await spool.close()`, [], { LD_PRELOAD: library, [`VEDETTE_FAIL_${operation}`]: fail })
    expect(line).toMatchObject({ failed: false, synced: 1, code: 'LOG_IO', now: 2 })
    expect(line.said.at(-1)).toBe('recovered')
    expect(eventsOf(framesIn(join(dir, 'spool'))).map(({ seq }, _, all) => seq - all[0].seq))
      .toEqual(Array.from({ length: 200 }, (_, i) => i))
  }), 30_000)
