import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { VmError } from './errors.ts'
import { unpack, VM_DIR } from './kernel.ts'
import type { Kernel } from './kernel.ts'

/** The versions of the stand-in for NVIDIA's driver that are built: one of each way to name devices. */
export const STAND_IN_VERSIONS = ['535.288.01', '570.211.01'] as const

interface Module { name: string, sources: string, built: string, words: string[] }

const MODULES: readonly Module[] = [
  ...STAND_IN_VERSIONS.map((version) => ({
    name: `nvidia-${version}`, sources: 'test/gpu/driver', built: 'nvidia.ko', words: [`NV_VERSION=${version}`],
  })),
  { name: 'gpu-card', sources: 'test/gpu/card', built: 'gpu_card.ko', words: [] },
  { name: 'gpu-storage', sources: 'test/gpu/storage', built: 'nvidia_fs.ko', words: [] },
]

/** Where the driver for a running kernel lies, below the checkout; also asked inside of a guest. */
export function standInPath(release: string, version: string): string {
  return modulePath(release, `nvidia-${version}`)
}

/** The same of the card: a PCI device of NVIDIA that does nothing. */
export function cardPath(release: string): string {
  return modulePath(release, 'gpu-card')
}

/** The same of the driver of GPUDirect Storage. */
export function storagePath(release: string): string {
  return modulePath(release, 'gpu-storage')
}

function modulePath(release: string, name: string): string {
  return join(VM_DIR, 'modules', release, `${name}.ko`)
}

/**
 * Builds the stand-ins for a kernel on this machine, with the headers of that kernel, unless they are
 * newer than their sources. Throws VmError `kernel_fetch`, `tool_missing`.
 */
export function ensureStandIns(checkout: string, kernel: Kernel): void {
  for (const module of MODULES) {
    const folder = join(checkout, module.sources)
    const changed = Math.max(...readdirSync(folder).map((name) => statSync(join(folder, name)).mtimeMs))
    const path = join(checkout, modulePath(kernel.release, module.name))
    if (existsSync(path) && statSync(path).mtimeMs > changed) continue
    buildStandIn(checkout, kernel, module, path)
  }
}

function buildStandIn(checkout: string, kernel: Kernel, module: Module, path: string): void {
  const headers = ensureHeaders(checkout, kernel)
  const work = `${path}.${process.pid}.work`
  rmSync(work, { recursive: true, force: true })
  cpSync(join(checkout, module.sources), work, { recursive: true })
  try {
    execFileSync('make', ['-s', '-C', headers, `M=${work}`, ...module.words, 'modules'],
      { stdio: 'pipe', encoding: 'utf8' })
    renameSync(join(work, module.built), path)
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string }
    throw new VmError('tool_missing', `the stand-in ${module.name} does not build for ${kernel.release}: `
      + `${stderr.trim() || message}\n  what to do: run 'bash tools/setup.sh --test'`)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The headers of a kernel, unpacked, not installed; the folder that make is pointed at. */
function ensureHeaders(checkout: string, { series, release }: Kernel): string {
  const root = join(checkout, VM_DIR, 'headers', series)
  const folder = join(root, 'usr/src', `linux-headers-${release}`)
  mkdirSync(join(checkout, VM_DIR, 'modules', release), { recursive: true })
  if (existsSync(folder)) return folder
  unpack(`linux-headers-${release}`, root, (fresh, depends) => {
    const packages = [...depends.matchAll(/linux-(headers-[^ ,(]+-common|kbuild-[^ ,(]+)/g)]
    for (const [name] of packages) unpack(name, join(fresh, 'more', name))
    for (const [name] of packages) {
      cpSync(join(fresh, 'more', name, 'usr'), join(fresh, 'usr'),
        { recursive: true, verbatimSymlinks: true })
    }
    rmSync(join(fresh, 'more'), { recursive: true })
    const own = join(fresh, 'usr/src', `linux-headers-${release}`)
    // It names the place where the package is installed.
    const makefile = join(own, 'Makefile')
    const text = readFileSync(makefile, 'utf8').replace(/\/usr\/src/, join(root, 'usr/src'))
    writeFileSync(makefile, text)
    // With it a module gets BTF, which the real one does not have, and pahole is needed.
    rmSync(join(own, 'vmlinux'), { force: true })
  })
  return folder
}
