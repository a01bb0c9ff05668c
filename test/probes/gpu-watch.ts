// For the tests of the GPU probes: a harmless device stands for /dev/nvidiactl, and real programs
// call it as they would call the driver. What a driver does with a call does not matter here.

import { setDeviceNumbers } from '../../agent/gpu/device-numbers.ts'
import type { ProbeOptions } from '../../agent/probes.ts'
import { probeTable } from '../../agent/probes/table.ts'
import type { Probe } from '../../agent/probes/table.ts'
import type { ScopeCgroup } from './scope-cgroup.ts'
import { Watch } from './watch.ts'

/** Nobody calls it but the test: /dev/full. */
export const device = { path: '/dev/full', number: 2 ** 20 + 7 }

/** Shorter than an agent's, so that a test need not wait for five seconds. */
const walkMs = 1000

/** What the tests need beside the probes of GPUs: who runs, and who ended. */
const others = ['process_exec', 'process_exit']

/** The probes with one way each (by the kind of its programs), module or not; '' is the best. */
export function tableOf(attachType: string): Probe[] {
  return probeTable.filter(({ name }) => name.startsWith('gpu_') || others.includes(name))
    .map((probe) => {
      const ways = probe.ways.filter(({ attach_type: type }) =>
        attachType === '' || probe.name !== 'gpu_call' || type === attachType)
      return { ...probe, ways: ways.map(({ module: _, ...way }) =>
        way.every_ms === undefined ? way : { ...way, every_ms: walkMs }) }
    })
}

/** As Watch; the device of the test counts as `family`. */
export function watchDevice(
  cgroup: ScopeCgroup, attachType = '', family = 'nvidiactl', limits: Partial<ProbeOptions> = {},
): Watch {
  const watch = new Watch(cgroup, tableOf(attachType), limits)
  const failures = [
    { device: 2 ** 20 + 2 ** 20 - 1, family: '', minor_from: 0, by_minor: true },
    { device: device.number, family, minor_from: 0, by_minor: false },
  ].map((numbers) => setDeviceNumbers(watch.object, numbers))
  const failure = failures.find((one) => one)
  if (failure) throw new Error(`${failure.operation}: ${failure.code} ${failure.detail}`)
  return watch
}

/** The kinds of programs that can see calls on this kernel, best first; why not the others. */
export function waysHere(cgroup: ScopeCgroup): { able: string[], refused: string[] } {
  const able: string[] = []
  const refused: string[] = []
  const probe = probeTable.find(({ name }) => name === 'gpu_call')!
  for (const { attach_type: type } of probe.ways) {
    const watch = new Watch(cgroup, tableOf(type))
    const state = watch.states.find((one) => one.probe === 'gpu_call')!
    watch.close()
    if (state.state === 'missing') refused.push(`${type}: ${state.reason}`)
    else able.push(type)
  }
  return { able, refused }
}

/**
 * Perl for a program that calls a device. `call(NUMBER, BYTES)` makes the ioctl on the file F, with
 * any type and direction; `at(BYTES)` is the address of bytes, which must stay in a variable.
 */
export const callScript = `
use strict; use warnings; our $F; our @kept;
sub at { push @kept, $_[0]; return unpack("Q", pack("P", $kept[-1])) }
sub number { my ($nr, $bytes, $bits) = @_; return (($bits // 0xC0004600) | $bytes << 16 | $nr) }
sub call { my ($number, $args) = @_; my $copy = $args; ioctl($F, $number, $copy) }
sub control {
  my ($client, $object, $command, $params, $bits) = @_;
  my $args = pack("L4QLL", $client, $object, $command, 0, at($params), length($params), 0);
  call(number(0x2a, 32, $bits), $args);
}
sub alloc {
  my ($client, $object, $class, $params) = @_;
  call(number(0x2b, 48),
    pack("L4QQLLLL", $client, $client, $object, $class, at($params), 0, length($params), 0, 0, 0));
}
sub wrap { my ($nr, $args) = @_; call(number(0xd3, 16), pack("LLQ", $nr, length($args), at($args))) }
sub device { open($F, "+<", $_[0]) or die "$_[0]: $!" }
`
