import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { VmError } from './errors.ts'

/**
 * Takes a lock file that holds the pid of its owner; one left by a process that is gone is taken
 * over. Gives the function that lets it go. Throws VmError `rig_busy` when the owner is alive.
 */
export function takeLock(path: string): () => void {
  mkdirSync(dirname(path), { recursive: true })
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      writeFileSync(path, `${process.pid}\n`, { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = ownerOf(path)
    if (owner !== undefined && isAlive(owner)) {
      throw new VmError('rig_busy', `another run of the kernel rig (pid ${owner}) holds ${path}; `
        + 'wait for it or end it by its pid')
    }
    rmSync(path, { force: true })
  }
  throw new VmError('rig_busy', `${path} is taken again and again by other runs; try later`)
}

function ownerOf(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10)
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
