// `npm run build`: probes and addon through cmake-js. Configures when there is no build folder
// yet, then builds what changed.
//
//   node native/build.ts                  build/native/vedette.node
//   node native/build.ts --sanitize       build/native-sanitize/vedette.node, AddressSanitizer
//   node native/build.ts --target NAME    one CMake target, such as bpf_arm64

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const root = join(import.meta.dirname, '..')
const { values } = parseArgs({
  options: {
    sanitize: { type: 'boolean', default: false },
    target: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
})
const folder = values.sanitize ? 'build/native-sanitize' : 'build/native'

/** Runs cmake-js. Its output is shown when it fails, or with --verbose. */
function cmakeJs(command: string, ...more: string[]): void {
  const script = join(root, 'node_modules/cmake-js/bin/cmake-js')
  if (!existsSync(script)) fail('cmake-js is not installed. Run: npm install')
  const args = [script, command, '--directory', 'native', '--out', folder]
  const result = spawnSync(process.execPath, [...args, ...more], {
    cwd: root,
    encoding: 'utf8',
    stdio: values.verbose ? 'inherit' : 'pipe',
  })
  if (result.status === 0) return
  if (command === 'configure') rmSync(join(root, folder, 'CMakeCache.txt'), { force: true })
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}`
  fail(`cmake-js ${command} failed in ${folder}.\n${essence(output)}`)
}

/** Compiler and CMake messages without what cmake-js and CMake say around them. */
function essence(output: string): string {
  const framing = /^((INFO|ERROR|VERB) |'|cd |-- |See also |Not searching for unused)/
  return output.replace(/INFO RUN \[[^\]]*\]/g, '').split('\n')
    .filter((line) => line.trim() !== '' && !framing.test(line.trim()))
    .join('\n')
}

function fail(message: string): never {
  process.stderr.write(`build: ${message}\n`)
  process.exit(1)
}

const started = process.hrtime.bigint()
mkdirSync(join(root, folder), { recursive: true })
if (!existsSync(join(root, folder, 'CMakeCache.txt'))) {
  cmakeJs('configure', '--CDCMAKE_MESSAGE_LOG_LEVEL=NOTICE',
    `--CDVEDETTE_SANITIZE=${values.sanitize ? 'ON' : 'OFF'}`)
}
cmakeJs('build', ...(values.target ? ['--target', values.target] : []))
const seconds = (Number(process.hrtime.bigint() - started) / 1e9).toFixed(1)
if (values.target) {
  process.stdout.write(`build: ${values.target} in ${seconds} s\n`)
} else {
  const addon = join(folder, 'vedette.node')
  const kib = Math.round(statSync(join(root, addon)).size / 1024)
  process.stdout.write(`build: ${addon} (${kib} KiB) in ${seconds} s\n`)
}
