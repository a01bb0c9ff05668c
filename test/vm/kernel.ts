import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { VmError } from './errors.ts'

/** The kernels that the rig knows: series → the Debian package that names the newest build. */
export const KERNELS: ReadonlyMap<string, string> = new Map([
  ['6.1', 'linux-image-amd64'],
  ['6.12', 'linux-image-6.12-amd64'],
])

/** A kernel on disk. `root` holds boot/ and lib/modules/RELEASE/. */
export type Kernel = { series: string, release: string, root: string }

/** Folder below the checkout that the rig writes; git ignores it. */
export const VM_DIR = 'build/vm'

/**
 * Gives the kernel of a series, from build/vm/kernels when it is there, else downloaded with apt
 * and unpacked (not installed: /boot and the machine's own initrd stay as they are).
 * Throws VmError `kernel_unknown`, `kernel_fetch`.
 */
export function ensureKernel(checkout: string, series: string): Kernel {
  const meta = KERNELS.get(series)
  if (meta === undefined) {
    throw new VmError('kernel_unknown',
      `kernel ${series} is not known to the rig; use one of: ${[...KERNELS.keys()].join(', ')}`)
  }
  const root = join(checkout, VM_DIR, 'kernels', series)
  const stamp = join(root, 'release')
  if (!existsSync(stamp)) fetchKernel(meta, root)
  return { series, release: readFileSync(stamp, 'utf8').trim(), root }
}

/** Gives a statically linked busybox for the initrd, fetched as ensureKernel does. */
export function ensureBusybox(checkout: string): string {
  const root = join(checkout, VM_DIR, 'busybox')
  const tool = join(root, 'bin/busybox')
  if (!existsSync(tool)) unpack('busybox-static', root)
  return tool
}

/** The package that a Debian meta package stands for, from the output of `apt-cache depends`. */
export function packageBehind(meta: string, dependsText: string): string {
  const found = /^\s*Depends: (linux-image-\d\S*)$/m.exec(dependsText)
  if (found === null) {
    throw new VmError('kernel_fetch', `apt knows no kernel behind ${meta}; run 'apt-get update', `
      + 'and check that /etc/apt names Debian 12 (bookworm) with its security updates')
  }
  return found[1]
}

function fetchKernel(meta: string, root: string): void {
  const name = packageBehind(meta, command('apt-cache', ['depends', meta]))
  unpack(name, root, (fresh) => {
    const release = name.replace(/^linux-image-/, '')
    // Debian's package leaves this to its postinst script.
    command('depmod', ['-b', fresh, release])
    writeFileSync(join(fresh, 'release'), `${release}\n`)
  })
}

/**
 * Downloads a package and unpacks it, beside the goal, and renames, so that a half-written folder is
 * never taken for done. `finish` is told what the package depends on. Throws VmError `kernel_fetch`.
 */
export function unpack(
  name: string, root: string, finish?: (fresh: string, depends: string) => void,
): void {
  const fresh = `${root}.${process.pid}.new`
  const download = `${root}.${process.pid}.deb`
  try {
    for (const dir of [fresh, download]) {
      rmSync(dir, { recursive: true, force: true })
      mkdirSync(dir, { recursive: true })
    }
    // As root apt drops to a user that may not write here; the packages are signed either way.
    const sandbox = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : []
    command('apt-get', ['-q', ...sandbox, 'download', name], download)
    const [file] = readdirSync(download)
    if (file === undefined) throw new VmError('kernel_fetch', `apt gave no file for ${name}`)
    command('dpkg-deb', ['-x', join(download, file), fresh])
    rmSync(join(fresh, 'usr/share'), { recursive: true, force: true })
    finish?.(fresh, command('dpkg-deb', ['-f', join(download, file), 'Depends']))
    rmSync(root, { recursive: true, force: true })
    renameSync(fresh, root)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(download, { recursive: true, force: true })
  }
}

function command(tool: string, words: readonly string[], cwd?: string): string {
  try {
    // depmod lives in sbin, which is not on every user's PATH.
    const env = { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
    return execFileSync(tool, words, { cwd, env, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const text = String((error as { stderr?: string }).stderr ?? error).trim()
    throw new VmError('kernel_fetch', `'${tool} ${words.join(' ')}' failed: ${text}\n`
      + "  what to do: run 'apt-get update' and 'bash tools/setup.sh --test', then try again")
  }
}
