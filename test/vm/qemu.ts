import { join } from 'node:path'
import type { Kernel } from './kernel.ts'

/** What the guest said about itself when it was ready. */
export type GuestFacts = {
  release: string
  uptime_s: number
  btf: boolean
  /** Active security modules in order; `bpf` among them means BPF LSM programs can attach. */
  lsm: string[]
}

// An oops becomes a panic, a panic a reset, and a reset the end of QEMU: a broken kernel never
// looks like a passed run.
const KERNEL_LINE = [
  'console=ttyS0', 'panic=-1', 'oops=panic', 'nowatchdog', 'loglevel=5', 'random.trust_cpu=on',
  'lsm=lockdown,capability,landlock,yama,apparmor,tomoyo,bpf',
].join(' ')

/**
 * The command line of QEMU: plain emulation (KVM hangs on some nested machines), the root of this
 * machine as share `root`, read-only, and `outDir` as share `out`. The kernel's console goes to
 * outDir/console.log, the second serial line (the job's output) to stdout.
 */
export function qemuWords(kernel: Kernel, initrd: string, outDir: string): string[] {
  const share = (tag: string, path: string, options: string): string[] => [
    // A comma ends a value for QEMU; doubled, it is a comma.
    '-fsdev', `local,id=${tag},path=${path.replaceAll(',', ',,')},multidevs=remap,${options}`,
    '-device', `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`,
  ]
  return [
    'qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', '2048', '-smp', '2',
    '-nodefaults', '-no-user-config', '-display', 'none', '-monitor', 'none', '-no-reboot',
    '-chardev', `file,id=console,path=${join(outDir, 'console.log').replaceAll(',', ',,')}`,
    '-serial', 'chardev:console', '-serial', 'stdio',
    ...share('root', '/', 'security_model=none,readonly=on'),
    ...share('out', outDir, 'security_model=none'),
    '-kernel', join(kernel.root, 'boot', `vmlinuz-${kernel.release}`),
    '-initrd', initrd, '-append', KERNEL_LINE,
  ]
}

/**
 * Finds the guest's ready line at the start of its output; undefined while it has not come whole.
 * Text after the line is the job's.
 */
export function guestFacts(text: string): { facts: GuestFacts, rest: string } | undefined {
  const found = /vedette-guest-ready ([\d.]+) (\S+) (present|absent) (\S*)\r?\n/.exec(text)
  if (found === null) return undefined
  const [line, uptime, release, btf, lsm] = found
  const facts = { release, uptime_s: Number(uptime), btf: btf === 'present', lsm: lsm.split(',') }
  return { facts, rest: text.slice(found.index + line.length) }
}

/** Quotes a word for a POSIX shell. */
export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

/** The last lines of a text, indented, with what a terminal would act on taken out. */
export function lastLines(text: string, count: number): string {
  return indented(plainLines(text).slice(-count))
}

/** What a kernel's console tells about its end: from the first sign of a crash, or the end. */
export function consoleExcerpt(text: string, count: number): string {
  const lines = plainLines(text)
  const crash = lines.findIndex((line) => CRASH.test(line))
  return indented(crash === -1 ? lines.slice(-count) : lines.slice(crash, crash + count))
}

const CRASH = /\bBUG: |\bOops: |Kernel panic|general protection fault|vedette-rig: /

function plainLines(text: string): string[] {
  const plain = text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '').replace(/[^\x20-\x7e\n\t]/g, '')
  return plain.trimEnd().split('\n')
}

function indented(lines: string[]): string {
  return lines.map((line) => `    ${line}`).join('\n')
}
