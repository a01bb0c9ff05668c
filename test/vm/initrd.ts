import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CpioEntry } from './cpio.ts'
import { packCpio } from './cpio.ts'
import type { Kernel } from './kernel.ts'
import { loadOrder, moduleName, parseModulesBuiltin, parseModulesDep } from './modules.ts'

/** What the guest needs before it has a root: the 9p shares and the layer that is written to. */
const MODULES = ['virtio_pci', '9pnet_virtio', '9p', 'overlay']

const DIRECTORIES = ['bin', 'modules', 'proc', 'sys', 'dev', 'lower', 'layer', 'root']

/**
 * Builds the initrd of a run: busybox, the modules in load order, the first script and the job
 * (`KEY='value'` lines that the script sources). Nothing of it depends on the machine's own
 * initramfs tools. Throws VmError `module_missing`.
 */
export function buildInitrd(kernel: Kernel, busyboxPath: string, job: string): Buffer {
  const dir = join(kernel.root, 'lib/modules', kernel.release)
  const table = parseModulesDep(readFileSync(join(dir, 'modules.dep'), 'utf8'))
  const builtin = parseModulesBuiltin(readFileSync(join(dir, 'modules.builtin'), 'utf8'))
  const order = loadOrder(MODULES, table, builtin)
  const entries: CpioEntry[] = DIRECTORIES.map((path) => ({ path, mode: 0o755 }))
  entries.push(
    { path: 'bin/busybox', mode: 0o755, content: readFileSync(busyboxPath) },
    { path: 'init', mode: 0o755, content: readFileSync(join(import.meta.dirname, 'init.sh')) },
    { path: 'job', mode: 0o644, content: Buffer.from(job) },
    { path: 'modules/order', mode: 0o644, content: Buffer.from(order.map(fileName).join('')) },
  )
  for (const path of order) {
    entries.push({ path: `modules/${moduleName(path)}.ko`, mode: 0o644,
      content: moduleBytes(join(dir, path)) })
  }
  return packCpio(entries)
}

function fileName(path: string): string {
  return `${moduleName(path)}.ko\n`
}

function moduleBytes(path: string): Buffer {
  if (!path.endsWith('.xz')) return readFileSync(path)
  return execFileSync('xz', ['--decompress', '--stdout', path], { maxBuffer: 64 * 2 ** 20 })
}
