// The stand-in for NVIDIA's kernel module (driver/), in a guest of the kernel rig, which has built it.

import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseDevices } from '../../agent/gpu/device-numbers.ts'
import { standInPath } from '../vm/stand-in.ts'

const checkout = resolve(import.meta.dirname, '../..')
const debug = '/sys/kernel/debug/nvidia-stand-in'

function modulePath(version: string): string {
  return join(checkout, standInPath(release(), version))
}

/** Why the stand-in cannot be loaded here; '' when it can. */
export function whyNoStandIn(version: string): string {
  if (!existsSync(modulePath(version))) {
    return `the stand-in driver is built for guests of the kernel rig only: npm run test:vm`
  }
  return existsSync('/sys/module/nvidia') ? 'a driver named nvidia is loaded' : ''
}

/** A loaded stand-in. */
export class StandIn {
  /** Where its device nodes are. */
  readonly folder = mkdtempSync(join(tmpdir(), 'vedette-nvidia-'))

  /** `options` are those of the module, such as 'frontend=1'. */
  constructor(version: string, ...options: string[]) {
    chmodSync(this.folder, 0o755)
    run('insmod', modulePath(version), ...options)
  }

  /** Makes a node for a device of it, as nvidia-modprobe does. */
  node(name: string, device: string, minor: number): string {
    const major = device === 'nvidia' ? 195
      : parseDevices(readFileSync('/proc/devices', 'utf8')).find((one) => one.name === device)?.major
    if (major === undefined) throw new Error(`/proc/devices has no ${device}`)
    const path = join(this.folder, name)
    run('mknod', '-m', '666', path, 'c', String(major), String(minor))
    return path
  }

  /** From now on it waits before it copies the arguments of a call. */
  delay(milliseconds: number): void {
    writeFileSync(join(debug, 'delay_ms'), String(milliseconds))
  }

  /** The driver reports an error of its GPU, such as "79, pid=1, GPU has fallen off the bus." */
  xid(text: string): void {
    writeFileSync(join(debug, 'xid'), text)
  }

  unload(): void {
    run('rmmod', 'nvidia')
    rmSync(this.folder, { recursive: true })
  }
}

function run(command: string, ...words: string[]): void {
  const { status, stderr } = spawnSync(command, words, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${words.join(' ')}: ${stderr}`)
}
