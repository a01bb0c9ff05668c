#!/usr/bin/env node
// Starts the command line on a Node that runs TypeScript as it is. Plain JavaScript, so that any
// Node can at least say what is missing.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR_MIN = 24
const root = dirname(dirname(fileURLToPath(import.meta.url)))

if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) {
  const { keepCompiledCode } = await import('./compile-cache.js')
  keepCompiledCode()
  const { main } = await import('./main.ts')
  process.exit(await main(process.argv.slice(2)))
} else {
  onPinnedNode(join(root, `node_modules/node-linux-${process.arch}/bin/node`))
}

/** Runs the same again with the Node that the set-up brought, in place of this one. */
function onPinnedNode(node) {
  if (!existsSync(node)) {
    process.stderr.write(
      `vedette: Node ${process.version} (${process.execPath}) is too old: ` +
      `${NODE_MAJOR_MIN} or newer is needed, and there is none at ${node}.\n` +
      `What to do: run "npm run setup" in ${root}; it brings one.\n`)
    process.exit(1)
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  // A terminal sends its signals to both; a supervisor only to this one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => { if (process.stdin.isTTY !== true) child.kill(signal) })
  }
  child.on('error', (error) => {
    process.stderr.write(`vedette: ${node} does not run: ${error.message}\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(signal ? 1 : code ?? 1))
}
