import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'
import { Watch, whyBlind, whyNot } from './watch.ts'

const reason = whyNot() || whyBlind('secret_read')
if (reason) process.stderr.write(`!! SKIPPED: secrets: ${reason}\n`)

describe.skipIf(reason)(`tokens of service accounts ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let folder: string
  const mounted: string[] = []

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, everydayAnd('secret_read'))
    folder = mkdtempSync(join(tmpdir(), 'vedette-secret-'))
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
    for (const path of mounted) execFileSync('umount', [path])
    rmSync(folder, { recursive: true })
  })

  /** A tmpfs with a token, as kubelet writes it: the name is a link into a dated folder. */
  function tokenBelow(...path: string[]): { link: string, file: string } {
    const place = join(folder, ...path)
    mkdirSync(place, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', place])
    mounted.push(place)
    mkdirSync(join(place, '..2026_11_23_06_50_00.1'))
    const file = join(place, '..2026_11_23_06_50_00.1', 'token')
    writeFileSync(file, 'secret')
    symlinkSync('..2026_11_23_06_50_00.1', join(place, '..data'))
    symlinkSync('..data/token', join(place, 'token'))
    return { link: join(place, 'token'), file }
  }

  async function done(program: Program): Promise<void> {
    await program.ended()
    await watch.first('process_exit', { pid: program.pid })
  }

  it.each([
    ['in a container', ['run/secrets/kubernetes.io/serviceaccount']],
    ['on the node', ['pods/1/volumes/kubernetes.io~projected/kube-api-access-x']],
  ])('a token that is opened names the process (%s)', async (_, path) => {
    const { link, file } = tokenBelow(...path)
    const reader = cgroup.start('cat', link)
    const event = await watch.first('secret_read', { pid: reader.pid })
    const { ino } = statSync(file, { bigint: true })
    expect(event).toMatchObject({
      comm: 'cat', path: file, inode: ino.toString(), secret: 'service_account_token',
      cgroup_id: cgroup.id.toString(),
    })
    await done(reader)
  })

  it('a process that opens it again is told once, another one for itself', async () => {
    const { link } = tokenBelow('again/kubernetes.io/serviceaccount')
    const script = 'for (1 .. 5) { open(my $f, "<", $ARGV[0]) or die }'
    const one = cgroup.start('perl', '-e', script, link)
    await done(one)
    const two = cgroup.start('perl', '-e', script, link)
    await done(two)
    expect(watch.seen('secret_read', { pid: one.pid })).toHaveLength(1)
    expect(watch.seen('secret_read', { pid: two.pid })).toHaveLength(1)
  })

  it('other names, other places and other file systems are quiet, and so is writing', async () => {
    const { link, file } = tokenBelow('quiet/kubernetes.io/serviceaccount')
    const tokens = join(link, '../tokens')
    writeFileSync(tokens, 'x')
    const elsewhere = tokenBelow('quiet/kubernetes.iot/serviceaccount')
    // The folder of the test may be a tmpfs itself, or lie over one.
    const other = join(folder, 'other')
    mkdirSync(other)
    execFileSync('mount', ['-t', 'ramfs', 'ramfs', other])
    mounted.push(other)
    const place = join(other, 'kubernetes.io/serviceaccount')
    mkdirSync(place, { recursive: true })
    writeFileSync(join(place, 'token'), 'x')
    const reader = cgroup.start('cat', tokens, elsewhere.link, join(place, 'token'))
    await done(reader)
    const writer = cgroup.start('perl', '-e', 'open(my $f, ">", $ARGV[0]) or die', file)
    await done(writer)
    const events = watch.seen('secret_read')
    expect(events.filter(({ pid }) => pid === reader.pid || pid === writer.pid)).toEqual([])
  })
})
