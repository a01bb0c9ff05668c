// `npm run test:native-sanitize`: the native tests with AddressSanitizer and its leak checker under
// the addon. Takes half a minute. Needs root, as the tests do; g++ brings the sanitizer.
//
// Node itself is not built with the sanitizer, so its runtime is preloaded into the child processes
// of the tests. Of the leaks that are reported at their end only those with a frame of the addon or
// of libbpf count: Node leaves some of its own to the kernel.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

/** The sanitizer's runtime of the compiler that builds the addon. */
function runtime(): string {
  const { stdout } = spawnSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' })
  const path = stdout?.trim() ?? ''
  if (!existsSync(path)) fail('libasan.so not found. On Debian: sudo apt-get install g++')
  return path
}

function fail(message: string): never {
  throw new Error(message)
}

function run(args: string[], env: NodeJS.ProcessEnv = {}): void {
  const result = spawnSync(process.execPath, args, {
    cwd: root, stdio: 'inherit', env: { ...process.env, ...env },
  })
  if (result.status !== 0) fail(`node ${args.join(' ')} ended with ${result.status}`)
}

/** Reports of leaks, one string each, that have a frame of ours. */
function ourLeaks(log: string): string[] {
  return log.split(/\n(?=(?:Direct|Indirect) leak of )/).slice(1)
    .map((report) => report.split('\n\n')[0])
    .filter((report) => /native\/src\/|napi-inl\.h|vedette\.node|libbpf/.test(report))
}

/** The checker must find a leak that is there, or its silence says nothing. */
function proveChecker(env: NodeJS.ProcessEnv): void {
  const { stderr } = spawnSync(process.execPath,
    ['-p', 'require(process.env.VEDETTE_NATIVE).leak()'],
    { encoding: 'utf8', env: { ...process.env, ...env, LD_PRELOAD: env.VEDETTE_NATIVE_PRELOAD } })
  const leaks = ourLeaks(stderr)
  if (leaks.length !== 1 || !leaks[0].includes('leak of 123 byte(s)')) {
    fail(`the leak checker did not find the leak that was made for it:\n${stderr}`)
  }
}

const folder = mkdtempSync(join(tmpdir(), 'vedette-sanitize-'))
try {
  const log = join(folder, 'stderr')
  const env = {
    VEDETTE_NATIVE: join(root, 'build/native-sanitize/vedette.node'),
    VEDETTE_NATIVE_PRELOAD: runtime(),
    VEDETTE_NATIVE_LOG: log,
    // Errors end the child, which fails the test; leaks are judged below.
    ASAN_OPTIONS: 'detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=24',
    LSAN_OPTIONS: 'exitcode=0',
  }
  run(['native/build.ts', '--sanitize'])
  proveChecker(env)
  run(['node_modules/vitest/vitest.mjs', 'run', 'native'], env)
  if (!existsSync(log)) fail('the tests ran no child: nothing was checked')
  const leaks = ourLeaks(readFileSync(log, 'utf8'))
  if (leaks.length > 0) fail(`${leaks.length} leaks:\n${leaks.slice(0, 5).join('\n\n')}`)
  process.stdout.write('sanitize: no error, no leak of the addon or libbpf\n')
} catch (error) {
  process.stderr.write(`sanitize: ${(error as Error).message}\n`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
