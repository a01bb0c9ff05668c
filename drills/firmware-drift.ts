import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DrillError } from './drill.ts'
import type { Drill } from './drill.ts'

/** No driver has this version, so that none ever loads what lies there. */
const VERSION = '0.0.1'
/** An agent reads the state of GPUs once a minute. */
const HOLD_MS = 70_000

/** A firmware file that comes beside those of the driver. */
export const firmwareDrift: Drill = drillIn('/', HOLD_MS)

/** The drill below another root, for so long; for tests. */
export function drillIn(root: string, holdMs: number): Drill {
  const folder = join(root, 'lib/firmware/nvidia', VERSION)
  return {
    name: 'firmware-drift',
    title: 'A firmware file that nobody installed, beside those of the GPU driver',
    raises: 'GPU-002',
    attack: ['T1542.001'],
    safe: `The file is a text in a folder of its own, for a driver version that does not exist ` +
      `(${VERSION}): nothing ever loads it, and it is removed after ${holdMs / 1000} s.`,
    needs: ['root', 'an NVIDIA GPU'],
    async run({ say, signal }) {
      if (!hasGpu(root)) {
        throw new DrillError('this node has no NVIDIA GPU: agents watch firmware only where one is')
      }
      if (existsSync(folder)) {
        throw new DrillError(`there is a folder ${folder} already: look at it, and remove it`)
      }
      const file = join(folder, 'vedette-drill.bin')
      const made = makeFolder(folder)
      try {
        writeFileSync(file, 'This is a drill of Vedette, and no firmware.\n')
        say(`wrote ${file}; agents read the state of GPUs once a minute`)
        await sleep(holdMs, undefined, { signal }).catch(() => undefined)
        signal.throwIfAborted()
        return { zones: [], done: { path: file, held_s: holdMs / 1000 } }
      } finally {
        rmSync(made, { recursive: true, force: true })
      }
    },
  }
}

/** The first folder that had to be made. */
function makeFolder(folder: string): string {
  try {
    return mkdirSync(folder, { recursive: true }) ?? folder
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new DrillError(`${folder} cannot be made (${code}): run it as root, with sudo, on a ` +
      'system that is not read-only')
  }
}

/** An agent looks for GPUs as PCI devices; without one it reads no firmware. */
export function hasGpu(root: string): boolean {
  const devices = join(root, 'sys/bus/pci/devices')
  try {
    return readdirSync(devices).some((name) =>
      readFileSync(join(devices, name, 'vendor'), 'latin1').trim() === '0x10de' &&
      /^0x03(00|02)/.test(readFileSync(join(devices, name, 'class'), 'latin1')))
  } catch {
    return false
  }
}
