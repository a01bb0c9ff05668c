import { spawn } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { VmError } from './errors.ts'
import { buildInitrd } from './initrd.ts'
import { ensureBusybox, ensureKernel, VM_DIR } from './kernel.ts'
import type { Kernel } from './kernel.ts'
import { consoleExcerpt, guestFacts, lastLines, qemuWords, shellQuote } from './qemu.ts'
import type { GuestFacts } from './qemu.ts'
import { takeLock } from './rig-lock.ts'
import { ensureStandIns } from './stand-in.ts'

/** A run in a guest. `on_output` gets the job's output as it comes. */
export type VmJob = {
  /** Series of the kernel, a key of KERNELS. */
  kernel: string
  /** Of several runs of one kernel at the same time: which. Default ''. */
  part?: string
  /** Program and arguments, run as root in the checkout, the pinned Node first on PATH. */
  command: readonly string[]
  /** Limit for the command, without the boot. Under emulation: about ten times a real machine. */
  timeout_s: number
  on_output?: (text: string) => void
}

/** What a run gave. `output` is the end of stdout and stderr, at most OUTPUT_BYTES_MAX. */
export type VmResult = {
  exit_code: number
  output: string
  /** Folder that the guest sees at the same path and can write: files come back through it. */
  out_dir: string
  facts: GuestFacts
  /** Host time from the start of QEMU until the guest was ready, and until it had ended. */
  boot_ms: number
  total_ms: number
}

const CHECKOUT = resolve(import.meta.dirname, '../..')
const OUTPUT_BYTES_MAX = 2 ** 20
const OUTPUT_FILE_BYTES_MAX = 64 * 2 ** 20
// Booting takes 10 to 20 s here; a machine that other work slows down needs more.
const BOOT_LIMIT_MS = 180_000
const END_LIMIT_MS = 30_000

/** Where the files of a run come back: also known before it, for naming files in a command. */
export function outDir(kernel: string, part = ''): string {
  return join(CHECKOUT, VM_DIR, 'out', part === '' ? kernel : `${kernel}-${part}`)
}

/**
 * Boots the kernel in QEMU on this machine's own root file system (read-only, writes go to
 * memory), runs the command as root and gives its exit code, output and files. A command past
 * its limit ends with 124 (137 when it had to be killed).
 * Throws VmError when the guest does not boot, dies (panic, oops) or hangs: the message holds the
 * last lines of its console. Never leaves QEMU behind.
 */
export async function runInVm(job: VmJob): Promise<VmResult> {
  if (process.arch !== 'x64') {
    throw new VmError('tool_missing', 'the kernel rig boots x86-64 guests on the own '
      + `root file system of the machine; this one is ${process.arch}: run it on x86-64`)
  }
  const kernel = ensureKernel(CHECKOUT, job.kernel)
  const busybox = ensureBusybox(CHECKOUT)
  const dir = outDir(job.kernel, job.part)
  const letGo = takeLock(`${dir}.lock`)
  try {
    tryStandIns(kernel)
    rmSync(dir, { recursive: true, force: true })
    mkdirSync(dir, { recursive: true })
    const limit = `timeout --kill-after=10 ${job.timeout_s}`
    writeFileSync(join(dir, 'job.sh'), `exec ${limit} ${job.command.map(shellQuote).join(' ')}\n`)
    const paths = `CHECKOUT=${shellQuote(CHECKOUT)}\nOUT_DIR=${shellQuote(dir)}\n`
    const initrd = join(dir, 'initrd')
    writeFileSync(initrd, buildInitrd(kernel, busybox, paths))
    return await boot(job, dir, qemuWords(kernel, initrd, dir))
  } finally {
    letGo()
  }
}

/** Without them the tests that need one are skipped, and say so. */
function tryStandIns(kernel: Kernel): void {
  try {
    ensureStandIns(CHECKOUT, kernel)
  } catch (error) {
    if (!(error instanceof VmError)) throw error
    process.stderr.write(`!! test:vm: ${error.message}\n`)
  }
}

function boot(job: VmJob, dir: string, words: string[]): Promise<VmResult> {
  const { promise, resolve: done, reject } = Promise.withResolvers<VmResult>()
  const started = performance.now()
  // pdeathsig: QEMU ends with this process, even when that is killed.
  const qemu = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...words],
    { stdio: ['ignore', 'pipe', 'pipe'] })
  const sink = outputSink(dir, job.on_output)
  let complaint = ''
  let facts: GuestFacts | undefined
  let bootMs = 0
  let late: 'guest_boot' | 'guest_timeout' | undefined
  const limit = (code: 'guest_boot' | 'guest_timeout', ms: number): NodeJS.Timeout => {
    return setTimeout(() => {
      late = code
      qemu.kill('SIGKILL')
    }, ms)
  }
  let watchdog = limit('guest_boot', BOOT_LIMIT_MS)
  let head = ''
  qemu.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (facts !== undefined) return sink.add(text)
    head = (head + text).slice(-65_536)
    const parsed = guestFacts(head)
    if (parsed === undefined) return
    facts = parsed.facts
    bootMs = Math.round(performance.now() - started)
    clearTimeout(watchdog)
    watchdog = limit('guest_timeout', job.timeout_s * 1000 + END_LIMIT_MS)
    if (parsed.rest !== '') sink.add(parsed.rest)
  })
  qemu.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-4096)
  })
  qemu.on('error', (error) => reject(new VmError('tool_missing',
    `QEMU could not be started: ${error.message}; run 'bash tools/setup.sh --test'`)))
  qemu.on('close', () => {
    clearTimeout(watchdog)
    sink.end()
    const exitCode = readExitCode(join(dir, 'exit_code'))
    if (facts === undefined || exitCode === undefined) {
      reject(guestFailure(job, dir, facts === undefined, late, complaint, sink.text()))
      return
    }
    done({ exit_code: exitCode, output: sink.text(), out_dir: dir, facts, boot_ms: bootMs,
      total_ms: Math.round(performance.now() - started) })
  })
  return promise
}

function readExitCode(path: string): number | undefined {
  const code = existsSync(path) ? Number.parseInt(readFileSync(path, 'utf8'), 10) : NaN
  return Number.isNaN(code) ? undefined : code
}

function guestFailure(
  job: VmJob,
  dir: string,
  inBoot: boolean,
  late: 'guest_boot' | 'guest_timeout' | undefined,
  complaint: string,
  output: string,
): VmError {
  const consolePath = join(dir, 'console.log')
  const text = existsSync(consolePath) ? readFileSync(consolePath, 'utf8') : ''
  const what = late === undefined
    ? `ended by itself ${inBoot ? 'in boot' : 'before the command had ended (panic or oops?)'}`
    : `hung ${inBoot ? 'in boot' : 'past the limit of the command'} and was killed`
  return new VmError(late ?? (inBoot ? 'guest_boot' : 'guest_died'), [
    `guest with kernel ${job.kernel} ${what}; command: ${job.command.join(' ')}`,
    `  from its console, ${consolePath}:`,
    consoleExcerpt(text, 20),
    ...complaint === '' ? [] : [`  QEMU said: ${complaint.trim()}`],
    ...output === '' ? [] : ['  the last output of the command:', lastLines(output, 10)],
  ].join('\n'))
}

type Sink = { add: (text: string) => void, text: () => string, end: () => void }

/** Keeps the end of the output in memory and all of it, up to a bound, in output.log. */
function outputSink(dir: string, onOutput: ((text: string) => void) | undefined): Sink {
  const file = createWriteStream(join(dir, 'output.log'))
  let kept = ''
  let written = 0
  return {
    add: (text) => {
      kept = (kept + text).slice(-OUTPUT_BYTES_MAX)
      onOutput?.(text)
      if (written > OUTPUT_FILE_BYTES_MAX) return
      written += text.length
      const full = written > OUTPUT_FILE_BYTES_MAX
      file.write(full ? '\n[output.log is full, the rest is only in the caller]\n' : text)
    },
    text: () => kept,
    end: () => file.end(),
  }
}
