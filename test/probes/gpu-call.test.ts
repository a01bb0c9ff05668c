import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callScript, device, watchDevice, waysHere } from './gpu-watch.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { whyNot } from './watch.ts'
import type { Watch } from './watch.ts'

const reason = whyNot()
if (reason) process.stderr.write(`!! SKIPPED: GPU calls: ${reason}\n`)

function waysOrNone(): string[] {
  if (reason) return []
  const cgroup = new ScopeCgroup()
  const { able, refused } = waysHere(cgroup)
  for (const one of refused) process.stderr.write(`!! SKIPPED: GPU calls by ${one}\n`)
  void cgroup.remove()
  return able
}

const ways = waysOrNone()

/** Perl asks each file that it opens whether it is a terminal (TCGETS). */
const terminalQuestion = 1

describe.skipIf(reason)(`calls of GPU drivers ${reason}`, () => {
  it('are seen in some way on every kernel', () => {
    expect(ways).not.toEqual([])
  })
})

describe.each(ways)('calls of GPU drivers, seen by %s programs', (way) => {
  let cgroup: ScopeCgroup
  let watch: Watch

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = watchDevice(cgroup, way)
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  /** Runs a script with the device open; it waits for the end of its input if it says `stay`. */
  async function run(script: string): Promise<Program> {
    const program = begin(script)
    await program.ended()
    await watch.first('process_exit', { pid: program.pid })
    return program
  }

  function begin(script: string): Program {
    return cgroup.start('perl', '-e',
      `${callScript} $| = 1; device("${device.path}"); ${script}`)
  }

  it('tells a control command, its sizes, its client and the rights of the process', async () => {
    const program = await run('control(0xc1d00001, 0x5c000001, 0x20801322, "x" x 24);')
    expect(watch.seen('gpu_call', { pid: program.pid, call_kind: 'control' })).toMatchObject([{
      command: 0x20801322, escape: 0x2a, count: 1, client: 0xc1d00001, args_bytes: 32,
      params_bytes: 24, family: 'nvidiactl', device: device.number, cap_sys_admin: true,
      report: 'first', comm: 'perl',
    }])
  })

  it('looks at number and size alone: other types and directions hide nothing', async () => {
    const program = await run(`
      control(0xc1d00002, 1, 0x83de0316, "", 0x0000FF00);
      control(0xc1d00002, 1, 0x83de0316, "", 0x40000000);
      control(0xc1d00002, 1, 0x83de0316, "", 0x2000AA00);`)
    const told = watch.seen('gpu_call', { pid: program.pid, call_kind: 'control' })
    expect(told[0]).toMatchObject({ command: 0x83de0316, escape: 0x2a, report: 'first' })
    // One that follows is of the same entry.
    expect(told.filter((event) => event['report'] === 'first' || event['escape'] !== 0x2a ||
      event['command'] !== 0x83de0316)).toHaveLength(1)
  })

  it('unwraps the wrapper once', async () => {
    const program = await run(`
      wrap(0x2a, pack("L4QLL", 0xc1d00003, 1, 0x20800134, 0, at(pack("L", 0)), 4, 0));
      wrap(0xd3, pack("LLQ", 0x2a, 32, at("x" x 32)));`)
    const events = watch.seen('gpu_call', { pid: program.pid })
    expect(events.find(({ call_kind: kind }) => kind === 'control')).toMatchObject({
      command: 0x20800134, wrapped: 1, args_bytes: 32, has_value: true, value: 0,
    })
    expect(events.find(({ escape }) => escape === 0xd3)).toMatchObject({ wrapped: 1, command: 0 })
  })

  it('tells each value that a state is set to', async () => {
    const program = await run(`
      for my $value (1, 1, 0) { control(0xc1d00004, 1, 0x20800134, pack("L", $value)) }
      control(0xc1d00004, 1, 0xcb330105, pack("CC", 1, 0xee));
      call(number(0x35, 24), pack("L6", 0xc1d00004, 7, 2, 0x4, 0, 0));`)
    const told = watch.seen('gpu_call', { pid: program.pid, report: 'first', has_value: true })
    expect(told.map(({ escape, command, value }) => [escape, command, value])).toEqual([
      [0x2a, 0x20800134, 1], [0x2a, 0x20800134, 0], [0x2a, 0xcb330105, 1], [0x35, 0, 4],
    ])
  })

  it('names whose client a debugger is attached to, and is quiet about the own one', async () => {
    const victim = begin('control(0xc1d00010, 1, 0x2080012f, ""); print "up\\n"; <STDIN>;')
    await victim.line()
    const spy = await run(`
      alloc(0xc1d00011, 5, 0x83de, pack("LLL", 0, 0xc1d00011, 9));
      alloc(0xc1d00011, 6, 0x83de, pack("LLL", 0, 0xc1d00010, 9));
      control(0xc1d00011, 6, 0x83de0315, "x" x 32);
      control(0xc1d00011, 5, 0x83de0315, "x" x 32);
      alloc(0xc1d00011, 7, 0xb2cc, pack("LL", 0xc1d00010, 0));
      call(number(0x34, 28), pack("L7", 0xc1d00011, 2, 3, 0xc1d00010, 4, 0, 0));
      alloc(0xc1d00011, 8, 0x83de, pack("LLL", 0, 0xc1d000ff, 9));`)
    const events = watch.seen('gpu_call', { pid: spy.pid, report: 'first' })
      .filter(({ escape }) => escape !== terminalQuestion)
      .map((one) => [one['escape'], one['command'], one['target_client'], one['target_pid']])
    const aim = [0xc1d00010, victim.pid]
    expect(events).toEqual([
      [0x2b, 0x83de, 0, 0], [0x2b, 0x83de, ...aim], [0x2a, 0x83de0315, ...aim],
      [0x2a, 0x83de0315, 0, 0], [0x2b, 0xb2cc, ...aim], [0x34, 0, ...aim],
      // A client that nobody used: named, but nobody's.
      [0x2b, 0x83de, 0xc1d000ff, 0],
    ])
    const [attach] = watch.seen('gpu_call', { pid: spy.pid, target_pid: victim.pid })
    const [exec] = watch.seen('process_exec', { pid: victim.pid, comm: 'perl' })
    expect(exec['process_id']).toBe(`${victim.pid}:${attach['target_start_time']}`)
    await victim.ended()
  })

  it('names whose handle a call is made with, when it is not the own one', async () => {
    const owner = begin('control(0xc1d00020, 1, 0x2080012f, ""); print "up\\n"; <STDIN>;')
    await owner.line()
    const thief = await run('control(0xc1d00020, 1, 0x2080012f, "") for 1 .. 3;')
    expect(watch.seen('gpu_call', { pid: thief.pid, call_kind: 'control', report: 'first' }))
      .toMatchObject([{ client: 0xc1d00020, target_client: 0xc1d00020, target_pid: owner.pid }])
    await owner.ended()
    await watch.first('process_exit', { pid: owner.pid })
    // Its owner is gone: whoever is given the number next has it for himself.
    const heir = await run('control(0xc1d00020, 1, 0x2080012f, "");')
    expect(watch.seen('gpu_call', { pid: heir.pid, call_kind: 'control' }))
      .toMatchObject([{ client: 0xc1d00020, target_client: 0, target_pid: 0 }])
  })

  it('counts arguments that cannot be read, and never drops the call', async () => {
    const program = await run(`
      ioctl($F, number(0x2a, 32), 1); ioctl($F, number(0x2b, 48), 0);
      ioctl($F, number(0xd3, 16), -1); ioctl($F, number(0x27, 56), ~0 >> 1);`)
    const told = watch.seen('gpu_call', { pid: program.pid, unread: 1 })
    expect(told.map(({ escape }) => escape)).toEqual([0x2a, 0x2b, 0xd3, 0x27])
    expect(told.every(({ command }) => command === 0)).toBe(true)
  })

  it('hostile arguments are counted like others, whatever they point to', async () => {
    const program = await run(`srand(7);
      my @types = (0x4600, 0xAA00, 0xDA00, 0x3000);
      my @numbers = (0x27, 0x29, 0x2a, 0x2b, 0x34, 0x35, 0x4a, 0x4d, 0xd3, 0xd9);
      for my $i (1 .. 3000) {
        my $bytes = join "", map { chr(int(rand(256))) } 1 .. 64;
        my $self = unpack("Q", pack("P", $bytes));
        substr($bytes, 8 * int(rand(8)), 8) = pack("Q", rand() < 0.5 ? $self : ~0 << int(rand(64)));
        my $number = $numbers[rand @numbers] | $types[rand @types] | int(rand(1 << 16)) << 16;
        my $args = rand() < 0.7 ? $bytes : int(rand(2 ** 48)) - 5;
        ioctl($F, $number, $args);
      }`)
    const counted = (): number => watch.seen('gpu_call', { pid: program.pid })
      .reduce((sum, { count }) => sum + Number(count), 0)
    // With the question of Perl.
    await expect.poll(counted, { timeout: 20_000 }).toBe(3001)
    expect(watch.object.counters().reduce((sum, { lost }) => sum + lost, 0)).toBe(0)
  })

  it('a flood of calls is one report at once and one for each walk', async () => {
    const program = begin(`
      control(0xc1d00030, 1, 0x20801344, "") for 1 .. 20_000; print "done\\n"; <STDIN>;
      control(0xc1d00030, 1, 0x20801344, "") for 1 .. 50;`)
    await program.line()
    const told = (): number[] =>
      watch.seen('gpu_call', { pid: program.pid, call_kind: 'control' })
        .map(({ count }) => Number(count))
    const counted = (): number => told().reduce((sum, count) => sum + count, 0)
    await expect.poll(counted, { timeout: 20_000 }).toBe(20_000)
    // One at once, and one of each walk that saw some of it.
    const reports = told()
    expect(reports[0]).toBe(1)
    expect(reports.length).toBeLessThan(20)
    await program.ended()
    await watch.first('process_exit', { pid: program.pid })
    await expect.poll(counted, { timeout: 20_000 }).toBe(20_050)
    expect(told().at(-1)).toBe(50)
    expect(watch.seen('gpu_call', { pid: program.pid, command: 0x20801344 }).at(-1))
      .toMatchObject({ report: 'last', count: 50 })
  })
})
