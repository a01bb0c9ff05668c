import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serveNfs, whyNoNfs } from './nfs-server.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { everydayAnd } from './tables.ts'
import { Watch, whyBlind, whyNot } from './watch.ts'

const reason = whyNot() || whyBlind('shared_file')
if (reason) process.stderr.write(`!! SKIPPED: shared files: ${reason}\n`)
const nfs = reason || whyNoNfs()
if (nfs && !reason) process.stderr.write(`!! SKIPPED: files on NFS: ${nfs}\n`)

const table = everydayAnd('shared_file')
const tmpfsMagic = 0x01021994
const nfsMagic = 0x6969

describe.skipIf(reason)(`files on shared storage ${reason}`, () => {
  let cgroup: ScopeCgroup
  let folder: string
  /** As an agent watches; and as if every tmpfs were shared by nodes. */
  let plain: Watch
  let watch: Watch
  const mounted: string[] = []

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    plain = new Watch(cgroup, table)
    watch = new Watch(cgroup, table, { shared_fs_magic_extra: tmpfsMagic })
    folder = mkdtempSync(join(tmpdir(), 'vedette-shared-'))
  })
  afterAll(async () => {
    watch.close()
    plain.close()
    await cgroup.remove()
    for (const path of mounted.reverse()) execFileSync('umount', [path])
    rmSync(folder, { recursive: true })
  })

  function mount(name: string, ...words: string[]): string {
    const place = join(folder, name)
    mkdirSync(place)
    execFileSync('mount', [...words, place])
    mounted.push(place)
    return place
  }

  async function run(script: string, ...words: string[]): Promise<Program> {
    const program = cgroup.start('/bin/sh', '-c', script, 'sh', ...words)
    await program.ended()
    for (const one of [plain, watch]) await one.first('process_exit', { pid: program.pid })
    return program
  }

  it.skipIf(nfs)('a file that is left on NFS names its writer and the inode of every node',
    async () => {
      const source = mount('exported', '-t', 'tmpfs', 'tmpfs')
      const stop = serveNfs(source)
      try {
        const place = mount('nfs', '-t', 'nfs', '-o',
          'vers=3,nolock,proto=tcp,mountproto=tcp', `127.0.0.1:${source}`)
        const program = await run('echo echo hi > "$1"; chmod 755 "$1"; : >> "$1"',
          join(place, 'tool'))
        const events = plain.seen('shared_file_written', { pid: program.pid })
        // What the server calls it is what another node will call it.
        const { ino } = statSync(join(source, 'tool'), { bigint: true })
        expect(events).toHaveLength(1)
        expect(events[0]).toMatchObject({
          path: join(place, 'tool'), inode: ino.toString(), fs_magic: nfsMagic,
        })
        execFileSync('umount', [mounted.pop()!])
      } finally {
        stop()
      }
    }, 120_000)

  it('a file names its writer, whether it may be executed, and is told once per process',
    async () => {
      const place = mount('shared', '-t', 'tmpfs', 'tmpfs')
      const file = join(place, 'tool')
      const writer = await run('umask 0; echo 1 > "$1"; echo 2 >> "$1"', file)
      const [event, ...more] = watch.seen('shared_file_written', { pid: writer.pid })
      const { ino } = statSync(file, { bigint: true })
      expect(event).toMatchObject({
        path: file, inode: ino.toString(), fs_magic: tmpfsMagic, comm: 'sh',
      })
      expect(event['executable']).toBeFalsy()
      expect(more).toEqual([])
      execFileSync('chmod', ['755', file])
      const other = await run('echo 3 >> "$1"', file)
      expect(watch.seen('shared_file_written', { pid: other.pid })).toMatchObject([
        { inode: ino.toString(), executable: true },
      ])
    })

  it.skipIf(process.arch !== 'x64')('a file that is mapped is told when it is let go', async () => {
    const file = join(mount('mapped', '-t', 'tmpfs', 'tmpfs'), 'data')
    const script = `$| = 1; open(my $f, "+>", $ARGV[0]) or die; truncate($f, 4096);
syscall(9, 0, 4096, 3, 1, fileno($f), 0); close $f; print "closed\\n"; <STDIN>`
    const program = cgroup.start('perl', '-e', script, file)
    expect(await program.line()).toBe('closed')
    await watch.settle(cgroup)
    expect(watch.seen('shared_file_written', { pid: program.pid })).toEqual([])
    await program.ended()
    await watch.first('shared_file_written', { pid: program.pid, path: file })
  })

  it('reading, folders, and file systems of this node alone are quiet', async () => {
    const place = mount('quiet', '-t', 'tmpfs', 'tmpfs')
    writeFileSync(join(place, 'old'), 'x')
    const writer = await run('echo 1 > "$1/new"; echo 2 > "$2/new"', place, folder)
    expect(plain.seen('shared_file_written', { pid: writer.pid })).toEqual([])
    const reader = await run('cat "$1/old" > /dev/null; mkdir "$1/folder"; ls "$1"', place)
    expect(watch.seen('shared_file_written', { pid: reader.pid })).toEqual([])
    const elsewhere = await run('echo 1 > "$1/newer"', mount('local', '-t', 'ramfs', 'ramfs'))
    expect(watch.seen('shared_file_written', { pid: elsewhere.pid })).toEqual([])
  })
})
