// Loop devices and the files that they show, as sysfs tells.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deviceOf } from './mounts.ts'

/** One that is in use. */
export interface LoopDevice {
  /** Such as "/dev/loop3". */
  path: string
  /** Path of the backing file in the namespace of whoever reads it. */
  file: string
  /** Its own device number and those of its partitions. */
  devices: number[]
}

const loopsMax = 1024
const partitionsMax = 128

/** In the order of their names. `sysDir` is another folder for tests. */
export async function readLoops(sysDir = '/sys'): Promise<LoopDevice[]> {
  const folder = join(sysDir, 'block')
  const names = (await namesIn(folder)).filter((name) => /^loop\d+$/.test(name)).slice(0, loopsMax)
  const loops: LoopDevice[] = []
  for (const name of names) {
    const file = await textOf(join(folder, name, 'loop/backing_file'))
    if (file === '') continue
    const parts = (await namesIn(join(folder, name))).filter((one) => one.startsWith(`${name}p`))
    const devices: number[] = []
    for (const part of ['', ...parts.slice(0, partitionsMax)]) {
      const device = deviceOf(await textOf(join(folder, name, part, 'dev')))
      if (device !== undefined) devices.push(device)
    }
    loops.push({ path: `/dev/${name}`, file: file.replace(/ \(deleted\)$/, ''), devices })
  }
  return loops
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch {
    return []
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replace(/\n$/, '')
  } catch {
    return ''
  }
}
