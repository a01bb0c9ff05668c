import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GpuDeviceNumbers } from '../../agent/gpu/device-numbers.ts'
import { StandIn, whyNoStandIn } from '../gpu/stand-in.ts'
import { STAND_IN_VERSIONS } from '../vm/stand-in.ts'
import { callScript, tableOf } from './gpu-watch.ts'
import { ScopeCgroup } from './scope-cgroup.ts'
import type { Program } from './scope-cgroup.ts'
import { Watch, whyNot } from './watch.ts'

const [oldVersion, version] = STAND_IN_VERSIONS
const reason = whyNot() || whyNoStandIn(version)
if (reason) process.stderr.write(`!! SKIPPED: a driver of GPUs: ${reason}\n`)

/** Perl: shared memory at $addr, whose bytes `poke(AT, BYTES)` changes, also in a child. */
const sharedScript = `
my $id = shmget(0, 4096, 0600 | 01000) // die $!;
my $addr = syscall(30, $id, 0, 0); die $! if $addr == -1;
sub poke { shmwrite($id, $_[1], $_[0], length($_[1])) or die $! }
`

describe.skipIf(reason)(`a driver of GPUs ${reason}`, () => {
  let cgroup: ScopeCgroup
  let watch: Watch
  let driver: StandIn
  let numbers: GpuDeviceNumbers

  beforeAll(() => {
    cgroup = new ScopeCgroup()
    watch = new Watch(cgroup, tableOf(''))
    numbers = new GpuDeviceNumbers(watch.object)
  })
  afterAll(async () => {
    watch.close()
    await cgroup.remove()
  })

  function load(which: string, ...options: string[]): void {
    driver = new StandIn(which, ...options)
    expect(numbers.refresh()).toBeUndefined()
  }

  function begin(script: string, ...words: string[]): Program {
    return cgroup.start(...words as [string], 'perl', '-e', `${callScript} $| = 1; ${script}`)
  }

  async function run(script: string, ...words: string[]): Promise<Program> {
    const program = begin(script, ...words)
    await program.ended()
    await watch.first('process_exit', { pid: program.pid })
    return program
  }

  const state = (probe: string) => watch.late.states.find((one) => one.probe === probe)

  it('is waited for, and watched when it is there', async () => {
    expect(state('gpu_driver')).toMatchObject({ state: 'waiting' })
    load(version)
    expect(watch.late.look()).toMatchObject([{ probe: 'gpu_driver', state: 'attached' }])
    expect(watch.late.look()).toEqual([])
    driver.node('nvidiactl', 'nvidia', 255)
    driver.node('nvidia0', 'nvidia', 0)
    driver.node('uvm', 'nvidia-uvm', 0)
    driver.node('config', 'nvidia-caps', 1)
    driver.node('switch', 'nvidia-nvswitch', 255)
  })

  it('is opened in all its families', async () => {
    const program = await run(
      `device("${driver.folder}/$_") for qw(nvidiactl nvidia0 uvm config switch);`)
    const families = watch.seen('gpu_device_open', { pid: program.pid })
      .map(({ family }) => family)
    expect(families)
      .toEqual(['nvidiactl', 'nvidia', 'nvidia_uvm', 'nvidia_caps', 'nvidia_nvswitch'])
  })

  it('what it refuses is told with the rights of who asked', async () => {
    const script = `device("${driver.folder}/nvidiactl");
      control(1, 1, 0x20800134, pack("L", 0)) for 1 .. 3; control(1, 1, 0x2080012f, "x" x 8);`
    const admin = await run(script)
    const other = await run(script, 'setpriv', '--bounding-set=-sys_admin',
      '--inh-caps=-sys_admin', '--ambient-caps=-sys_admin', '--reuid=65534', '--clear-groups')
    await expect.poll(() => watch.seen('gpu_call', { pid: other.pid, command: 0x20800134 })
      .reduce((sum, { refused }) => sum + Number(refused), 0), { timeout: 20_000 }).toBe(3)
    for (const event of watch.seen('gpu_call', { pid: other.pid, call_kind: 'control' })) {
      expect(event).toMatchObject({ uid: 65_534, cap_sys_admin: false })
    }
    const quiet = [...watch.seen('gpu_call', { pid: admin.pid, call_kind: 'control' }),
      ...watch.seen('gpu_call', { pid: other.pid, command: 0x2080012f })]
    expect(quiet.every(({ refused }) => Number(refused) === 0)).toBe(true)
    expect(quiet.some((event) => event['changed_underway'] === true)).toBe(false)
  })

  it('the handles that it gives out tell whom a debugger aims at', async () => {
    const root = 'my $new = pack("L4QQLLLL", 0, 0, 0, 0x41, 0, 0, 0, 0, 0, 0);' +
      'ioctl($F, number(0x2b, 48), $new) or die $!; my $client = unpack("x8L", $new);'
    const victim = begin(`device("${driver.folder}/nvidiactl"); ${root} print "$client\\n"; <STDIN>;`)
    const client = Number(await victim.line())
    expect(client).toBeGreaterThan(0xc1d00000)
    const spy = await run(`device("${driver.folder}/nvidiactl"); ${root}
      my $debugger = pack("L4QQLLLL", $client, $client, 0, 0x83de,
        at(pack("LLL", 0, ${client}, 0)), 0, 12, 0, 0, 0);
      ioctl($F, number(0x2b, 48), $debugger) or die $!;
      control($client, unpack("x8L", $debugger), 0x83de0316, "x" x 32);`)
    for (const command of [0x83de, 0x83de0316]) {
      expect(watch.seen('gpu_call', { pid: spy.pid, command, report: 'first' }))
        .toMatchObject([{ target_client: client, target_pid: victim.pid }])
    }
    await victim.ended()
  })

  it('an address space of unified memory is known when another process uses it', async () => {
    const owner = await run(`device("${driver.folder}/uvm"); ioctl($F, 62, 0); my $child = fork();
      if (!$child) { ioctl($F, 63, 0); exec("/bin/true") } waitpid($child, 0);`)
    expect(watch.seen('gpu_call', { pid: owner.pid, escape: 62 }))
      .toMatchObject([{ target_pid: 0, family: 'nvidia_uvm' }])
    expect(watch.seen('gpu_call', { escape: 63, target_pid: owner.pid }))
      .toMatchObject([{ ppid: owner.pid, family: 'nvidia_uvm' }])
  })

  it('arguments that are changed before it reads them are told as such', async () => {
    driver.delay(1500)
    const args = (command: string) => `pack("L4QLL", 7, 1, ${command}, 0, 0, 0, 0)`
    const program = await run(`device("${driver.folder}/nvidiactl"); ${sharedScript}
      poke(0, ${args('0x2080012f')}); my $child = fork();
      if (!$child) { select(undef, undef, undef, 0.5); poke(0, ${args('0x83de0327')}); exit }
      ioctl($F, number(0x2a, 32), $addr); waitpid($child, 0);`)
    driver.delay(0)
    const events = watch.seen('gpu_call', { pid: program.pid, call_kind: 'control' })
    expect(events.map(({ command, changed_underway: changed }) => [command, changed ?? false]))
      .toEqual([[0x2080012f, false], [0x83de0327, true]])
  })

  it('may be unloaded while it is watched, and another one is watched in its place', async () => {
    driver.unload()
    expect(watch.late.look()).toMatchObject([{ probe: 'gpu_driver', state: 'waiting' }])
    load(oldVersion, 'frontend=1', 'load_firmware=0')
    expect(watch.late.look()).toMatchObject([{ probe: 'gpu_driver', state: 'attached' }])
    driver.node('nvidiactl', 'nvidia', 255)
    const program = await run(`device("${driver.folder}/nvidiactl");
      control(1, 1, 0x2080d001, "x"); wrap(0x99, "x" x 8);`, 'setpriv', '--reuid=65534',
    '--clear-groups')
    await watch.first('gpu_call', { pid: program.pid, command: 0x2080d001, refused: 1 })
    await watch.first('gpu_call', { pid: program.pid, escape: 0x99, refused: 1 })
    // Loaded anew between two looks.
    driver.unload()
    load(version)
    expect(watch.late.look()).toMatchObject([{ probe: 'gpu_driver', state: 'attached' }])
    driver.unload()
  })
})
