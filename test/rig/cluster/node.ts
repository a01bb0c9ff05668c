// One node of the rig: network, mount and UTS namespaces of its own, and a cgroup below that of
// the rig. What runs in it finds the repository in /opt/vedette and Node in /opt/node/bin.

import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Machine } from './machine.ts'
import { Program, until } from './program.ts'
import { USERS } from './users.ts'
import type { User } from './users.ts'

const REPOSITORY = join(import.meta.dirname, '../../..')
const NODE_DIR = dirname(process.execPath)
const PATH = '/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Mounts are of this node only, and go with it. */
const FURNISH = `set -e
hostname "$NAME"
for dir in /opt /srv /home /run /var/tmp; do mount -t tmpfs -o mode=755 tmpfs $dir; done
mkdir -p /opt/vedette /opt/node/bin /run/sshd
mount --bind "$REPOSITORY" /opt/vedette
mount --bind "$NODE_DIR" /opt/node/bin
for file in passwd group shadow hosts nsswitch.conf resolv.conf ssh/ssh_config; do
  mount --bind "$ETC/$(basename $file)" /etc/$file
done
for home in $HOMES; do
  mkdir -p /home/\${home%:*}/.ssh /srv/\${home%:*}
  chmod 700 /home/\${home%:*}/.ssh
  chown -R \${home#*:} /home/\${home%:*} /srv/\${home%:*}
done
ip link set lo up
echo ready
exec sleep infinity`

export interface NodeOptions {
  name: string
  /** IPv4 addresses; all nodes share 10.0.0.0/8. */
  addresses: readonly string[]
}

export interface StartOptions {
  user?: User
  /** Name of the cgroup below that of the node, such as `llm.service`. */
  unit?: string
  /** Not seen by the agent of the node: it belongs to the rig, not to the cluster. */
  backstage?: boolean
  env?: Record<string, string>
  /** Gives it a standard input that `tell` writes to. */
  input?: boolean
}

/** A node, once `open` has made it. */
export class RigNode {
  readonly name: string
  readonly addresses: readonly string[]
  /** Of its own files: outside of its mounts. */
  readonly dir: string
  readonly #machine: Machine
  readonly #holder: Program

  private constructor(options: NodeOptions, machine: Machine, holder: Program) {
    this.name = options.name
    this.addresses = options.addresses
    this.dir = join(machine.dir, options.name)
    this.#machine = machine
    this.#holder = holder
  }

  get address(): string { return this.addresses[0]! }
  /** cgroup path below the mount: what an agent of this node is limited to. */
  get scope(): string { return `/${this.#machine.name}/${this.name}` }
  /** Process that keeps the namespaces. */
  get holderPid(): number { return this.#holder.pid }

  /** Makes namespaces, mounts and cgroup. `etc` holds the files that go over those in /etc. */
  static async open(options: NodeOptions, machine: Machine, etc: string): Promise<RigNode> {
    const { name } = options
    mkdirSync(join(machine.dir, name))
    mkdirSync(join(machine.cgroup, name))
    const homes = Object.entries(USERS).map(([user, uid]) => `${user}:${uid}`).join(' ')
    const words = ['-m', '-n', '-u', '/bin/sh', '-c', FURNISH]
    const child = spawn('/bin/sh', joining(machine.cgroup, 'unshare', ...words), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH, NAME: name, ETC: etc, REPOSITORY, NODE_DIR, HOMES: homes },
    })
    const holder = new Program(`the holder of ${name}`, child)
    await until(`namespaces of ${name}`, () => {
      if (child.exitCode !== null) throw new Error(`${name} has no namespaces: ${holder.stderr}`)
      return holder.stdout === '' ? undefined : true
    }, () => holder.stderr)
    return new RigNode(options, machine, holder)
  }

  /** Starts a program in the node. */
  start(words: readonly string[], options: StartOptions = {}): Program {
    const { user, unit = '', backstage = false, env = {}, input = false } = options
    const cgroup = backstage ? this.#machine.cgroup
      : join(this.#machine.cgroup, this.name, unit)
    mkdirSync(cgroup, { recursive: true })
    const uid = user === undefined ? undefined : String(USERS[user])
    const as = uid === undefined ? []
      : ['setpriv', '--reuid', uid, '--regid', uid, '--clear-groups', '--inh-caps=-all']
    const enter = ['-t', String(this.holderPid), '-n', '-m', '-u', '/bin/sh']
    const home = user === undefined ? '/root' : `/home/${user}`
    const child = spawn('nsenter', [...enter, ...joining(cgroup, ...as, ...words)], {
      stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      env: { PATH, HOME: home, LC_ALL: 'C.UTF-8', NO_COLOR: '1', ...env },
    })
    return new Program(`${words.join(' ').slice(0, 100)} on ${this.name}`, child)
  }

  /** Runs a program of test/rig/programs; ready when it has said so. */
  async serve(file: string, words: readonly string[], options: StartOptions): Promise<Program> {
    const program = this.start(
      ['/opt/node/bin/node', `/opt/vedette/test/rig/programs/${file}`, ...words], options)
    await program.says(/ready/)
    return program
  }

  /** Runs a program of the rig to its end, unseen. */
  do(...words: string[]): string {
    const enter = ['-t', String(this.holderPid), '-n', '-m', '-u']
    return execFileSync('nsenter', [...enter, ...words], {
      encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { PATH },
    })
  }
}

/** Words for /bin/sh: joins a cgroup, then becomes the program. */
function joining(cgroup: string, ...words: string[]): string[] {
  return ['-c', 'cd / && echo $$ > "$0" && exec "$@"', join(cgroup, 'cgroup.procs'), ...words]
}
