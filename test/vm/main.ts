import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { parseVitestResults } from '../../tools/vitest-results.ts'
import { compileAll } from '../probes/compiled.ts'
import { VmError } from './errors.ts'
import { ensureBusybox, ensureKernel, KERNELS } from './kernel.ts'
import { allPassed, formatReport, guestTroubles } from './report.ts'
import type { KernelReport } from './report.ts'
import { outDir, runInVm } from './run.ts'
import { ensureStandIns } from './stand-in.ts'

const PROBE_TESTS = 'test/probes'
/** What vitest runs of them; each takes about half of the time. */
const PARTS: Record<string, string[]> = {
  'gpu-and-stores': [`${PROBE_TESTS}/gpu`, `${PROBE_TESTS}/store`],
  others: [PROBE_TESTS, `--exclude=${PROBE_TESTS}/{gpu,store}*`],
}

const USAGE = `Usage: npm run test:vm -- [--kernel 6.1|6.12|all] [--part NAME] [--timeout_s N]
                           [-- COMMAND …]

Boots Debian kernels in QEMU on this machine's own root file system and runs the probe tests
(test/probes) in each as root, or COMMAND. Files that the guest writes to build/vm/out/KERNEL
come back. A part of the tests (${Object.keys(PARTS).join(', ')}) can run beside another
part, each in a machine of its own; its files come back to build/vm/out/KERNEL-PART. --fetch only
gets the kernels. Exit 0: all passed; 1: failed; 2: wrong usage.
`

const CHECKOUT = resolve(import.meta.dirname, '../..')
const VITEST = [
  'node', 'node_modules/vitest/vitest.mjs', 'run',
  // One file at a time and wide limits: emulation is slow, and two files would share its ring.
  '--no-file-parallelism', '--testTimeout=120000', '--hookTimeout=120000',
  // One process for all files: to start Node and vitest anew takes nine seconds.
  '--no-isolate',
  '--reporter=verbose', '--reporter=json',
]
/**
 * What the set-up has compiled the guest does not compile again, nor what one of its programs has:
 * taking the types out of many files can crash Node there (test/probes/emulated-node.ts). At the
 * same place, which is part of its key, but in the guest's memory: hundreds of files of the host
 * take it seconds to open.
 */
const COMPILED = join(CHECKOUT, 'build/compile-cache')
const COMPILE_CACHE = [
  `NODE_COMPILE_CACHE=${COMPILED}`, 'NODE_COMPILE_CACHE_PORTABLE=1', 'sh', '-c',
  'mkdir -p "$0" && cp -r "$0" /run/compiled && mount --bind /run/compiled "$0"; exec "$@"',
  COMPILED,
]

/** Entry of the kernel rig; gives the exit status. */
export async function main(words: string[]): Promise<number> {
  const options = readOptions(words)
  if (options === undefined) {
    process.stderr.write(USAGE)
    return 2
  }
  const { kernels, part, timeoutS, command, fetchOnly } = options
  if (fetchOnly) {
    for (const kernel of kernels) ensureStandIns(CHECKOUT, ensureKernel(CHECKOUT, kernel))
    ensureBusybox(CHECKOUT)
    return 0
  }
  if (command.length > 0) return runCommand(kernels, command, timeoutS)
  const reports: KernelReport[] = []
  for (const kernel of kernels) reports.push(await runProbeTests(kernel, part, timeoutS))
  process.stdout.write(`\n${formatReport(reports)}\n`)
  return allPassed(reports) ? 0 : 1
}

type Options = {
  kernels: string[], part: string, timeoutS: number, command: string[], fetchOnly: boolean,
}

function readOptions(words: string[]): Options | undefined {
  const at = words.indexOf('--')
  const own = at === -1 ? words : words.slice(0, at)
  try {
    const { values } = parseArgs({ args: own, options: {
      kernel: { type: 'string', default: 'all' },
      part: { type: 'string', default: '' },
      timeout_s: { type: 'string', default: '600' },
      fetch: { type: 'boolean', default: false },
    } })
    const timeoutS = Number(values.timeout_s)
    if (!Number.isSafeInteger(timeoutS) || timeoutS < 1) {
      throw new Error(`timeout_s must be a whole number of seconds, got '${values.timeout_s}'`)
    }
    const kernels = values.kernel === 'all' ? [...KERNELS.keys()] : [values.kernel]
    if (!kernels.every((kernel) => KERNELS.has(kernel))) {
      throw new Error(`kernel '${values.kernel}' is not one of: ${[...KERNELS.keys()].join(', ')}`)
    }
    const { part } = values
    if (part !== '' && !PARTS[part]) {
      throw new Error(`part '${part}' is not one of: ${Object.keys(PARTS).join(', ')}`)
    }
    const command = at === -1 ? [] : words.slice(at + 1)
    return { kernels, part, timeoutS, command, fetchOnly: values.fetch }
  } catch (error) {
    process.stderr.write(`test:vm: ${(error as Error).message}\n`)
    return undefined
  }
}

async function runCommand(
  kernels: string[],
  command: string[],
  timeoutS: number,
): Promise<number> {
  let status = 0
  for (const kernel of kernels) {
    say(kernel, `running ${command.join(' ')}`)
    const result = await runInVm({ kernel, command, timeout_s: timeoutS, on_output: echo })
    say(kernel, `exit ${result.exit_code}, ${seconds(result.total_ms)}, files: ${result.out_dir}`)
    status ||= result.exit_code
  }
  return status
}

async function runProbeTests(
  kernel: string, part: string, timeoutS: number,
): Promise<KernelReport> {
  const report: KernelReport = { kernel, files: [], troubles: [] }
  const testDir = join(CHECKOUT, PROBE_TESTS)
  if (!existsSync(testDir) || !readdirSync(testDir).some((name) => name.endsWith('.test.ts'))) {
    report.troubles.push(`there are no tests in ${testDir}`)
    return report
  }
  say(kernel, 'booting (10 to 20 s)')
  const resultsPath = join(outDir(kernel, part), 'vitest.json')
  // The guest cannot know what its output ends up on.
  const plain = process.stdout.isTTY && process.env.NO_COLOR === undefined ? [] : ['NO_COLOR=1']
  const ways = `VEDETTE_TEST_WAYS=${process.env['VEDETTE_TEST_WAYS'] || 'all'}`
  const amounts = `VEDETTE_TEST_STORES=${process.env['VEDETTE_TEST_STORES'] ?? ''}`
  const command = ['env', ...plain, ways, amounts, ...COMPILE_CACHE, ...VITEST,
    ...PARTS[part] ?? [PROBE_TESTS], `--outputFile=${resultsPath}`]
  try {
    compileAll()
    const result = await runInVm({ kernel, part, command, timeout_s: timeoutS, on_output: echo })
    say(kernel, `${result.facts.release}: boot ${seconds(result.boot_ms)}, `
      + `whole run ${seconds(result.total_ms)}`)
    report.troubles.push(...guestTroubles(result.facts))
    if (existsSync(resultsPath)) {
      report.files = parseVitestResults(readFileSync(resultsPath, 'utf8'))
    }
    if (result.exit_code === 124 || result.exit_code === 137) {
      report.troubles.push(`the tests did not end within ${timeoutS} s`)
    } else if (result.exit_code !== 0 && !report.files.some(({ failed }) => failed > 0)) {
      report.troubles.push(`no test failed, but vitest ended with status ${result.exit_code}`)
    }
  } catch (error) {
    report.troubles.push((error as Error).message)
  }
  return report
}

function say(kernel: string, text: string): void {
  process.stdout.write(`[kernel ${kernel}] ${text}\n`)
}

function echo(text: string): void {
  process.stdout.write(text)
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`test:vm: ${error instanceof VmError ? error.message : String(error)}\n`)
    return 1
  })
}
