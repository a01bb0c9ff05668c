// Images without a registry: a base made here, everything in one folder, nothing of the machine's.
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What `run` gives: the exit status and what was printed. */
export interface Ran { status: number, stdout: string, stderr: string }

export interface Sandbox {
  /** Capabilities without `CAP_`. */
  capabilities: string[]
  /** A profile, or 'unconfined'; absent: buildah's default. */
  seccomp?: string
  /** Such as '0:0'. */
  user?: string
}

const root = join(import.meta.dirname, '../..')
const caBundle = '/etc/ssl/certs/ca-certificates.crt'
const caInBase = '/etc/vedette-test-ca.crt'
const nodeMajorMin = 20

/** What is missing here to build an image; '' when nothing is. */
export function imageToolsMissing(): string {
  if (process.getuid?.() !== 0) return 'needs root'
  const tools = ['buildah', 'debootstrap', 'jq', 'npm'].filter((name) => which(name) === '')
  if (tools.length > 0) return `needs ${tools.join(', ')}`
  return existsSync(join(npmFolder(), 'bin/npm-cli.js')) ? '' : 'needs an npm in one folder'
}

/** A store for images in `folder`; `remove` leaves nothing of it. */
export class ImageStore {
  readonly #options: string[]
  readonly #folder: string
  #containers = 0

  constructor(folder: string) {
    this.#folder = folder
    mkdirSync(folder, { recursive: true })
    this.#options = ['--storage-driver', 'vfs', '--root', join(folder, 'root'),
      '--runroot', join(folder, 'run')]
  }

  /** Imports a Debian 12 with Node and npm, of which `archive` keeps the files. */
  importBase(name: string, archive: string): void {
    if (!existsSync(archive)) makeBase(archive)
    const container = this.#buildah('from', 'scratch')
    this.#buildah('add', '--quiet', container, archive, '/')
    this.#buildah('config', '--env', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      ...(existsSync(caBundle) ? ['--env', `npm_config_cafile=${caInBase}`] : []), container)
    this.#buildah('commit', '--quiet', '--rm', container, name)
  }

  /** Builds the Dockerfile of the checkout; its output goes to the screen. */
  build(name: string, base: string): void {
    execFileSync('buildah', [...this.#options, 'build', '--isolation', 'chroot', '--pull-never',
      '--network', 'host', '--build-arg', `BASE=${base}`, '--tag', name, root], { stdio: 'inherit' })
  }

  /** Folder with the files of an image. */
  mount(image: string): string {
    return this.#buildah('mount', this.#buildah('from', '--pull-never', image))
  }

  /** Settings of an image, as OCI has them. */
  config(image: string): { User: string, Entrypoint: string[], Labels: Record<string, string> } {
    return JSON.parse(this.#buildah('inspect', '--type', 'image', image)).OCIv1.config
  }

  /** Runs a program of the image with its rights cut down to these. */
  run(image: string, sandbox: Sandbox, command: string[]): Ran {
    const name = `run-${++this.#containers}`
    const rights = sandbox.capabilities.flatMap((one) => ['--cap-add', `CAP_${one}`])
    this.#buildah('from', '--pull-never', '--name', name, '--isolation', 'chroot',
      '--cap-drop', 'all', ...rights,
      ...(sandbox.seccomp ? ['--security-opt', `seccomp=${sandbox.seccomp}`] : []), image)
    const user = sandbox.user ? ['--user', sandbox.user] : []
    const { status, stdout, stderr } = spawnSync('buildah', [...this.#options, 'run',
      '--isolation', 'chroot', ...rights, ...user, name, '--', ...command], { encoding: 'utf8' })
    return { status: status ?? -1, stdout, stderr }
  }

  remove(): void {
    spawnSync('buildah', [...this.#options, 'umount', '--all'])
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #buildah(...args: string[]): string {
    return execFileSync('buildah', [...this.#options, ...args], { encoding: 'utf8' }).trim()
  }
}

/** Debian's own base system, with the Node and npm of this machine: Debian 12 has Node 18. */
function makeBase(archive: string): void {
  const files = `${archive}.files`
  rmSync(files, { recursive: true, force: true })
  mkdirSync(dirname(archive), { recursive: true })
  execFileSync('debootstrap', ['--variant=minbase', 'bookworm', files], { stdio: 'ignore' })
  const node = Number(process.versions.node.split('.')[0])
  if (node < nodeMajorMin) throw new Error(`Node ${process.version} is too old for the set-up`)
  copyFileSync(process.execPath, join(files, 'usr/bin/node'))
  cpSync(npmFolder(), join(files, 'usr/lib/node_modules/npm'), { recursive: true })
  execFileSync('ln', ['-s', '../lib/node_modules/npm/bin/npm-cli.js', join(files, 'usr/bin/npm')])
  // Where packages come through a proxy with its own CA, the machine trusts it.
  if (existsSync(caBundle)) copyFileSync(caBundle, join(files, caInBase))
  execFileSync('tar', ['-C', files, '--exclude=./dev/*', '-cf', `${archive}.part`, '.'])
  renameSync(`${archive}.part`, archive)
  rmSync(files, { recursive: true, force: true })
}

function npmFolder(): string {
  return join(dirname(realpathSync(which('npm'))), '..')
}

/** Full path of a program; '' when there is none. npm of the machine, not of node_modules. */
function which(name: string): string {
  const folders = (process.env.PATH ?? '').split(':').filter((folder) => !folder.startsWith(root))
  return [...folders, '/usr/sbin', '/sbin'].map((folder) => join(folder, name))
    .find((path) => existsSync(path)) ?? ''
}
