/** The folder of a store of drills, with files that mean nothing. Needs root. */
import { existsSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { drillFolder } from '../policy/drill-stores.ts'
import { DrillError } from './drill.ts'
import type { DrillContext } from './drill.ts'

/** Agents look for stores every five seconds, and attach the probes of reads when there is one. */
const FOUND_MS = 12_000
/** They are known to agents only then. */
export const POLICY_WITH_STORES = 'a policy with a store of files'

/** How many files there are in it, and how large each is. */
export interface StoreFiles {
  /** Name of the store, of policy/drill-stores.ts. */
  store: string
  files: number
  fileBytes: number
}

/**
 * Makes the folder, gives agents the time to find it, and calls `act` with it; removes it in every
 * case. Rejects with DrillError.
 *
 * @param folder another one for tests
 */
export async function withStore<T>(
  { store, files, fileBytes }: StoreFiles, { say, signal }: DrillContext,
  act: (folder: string) => Promise<T>, foundMs = FOUND_MS, folder = drillFolder(store),
): Promise<T> {
  if (existsSync(folder)) {
    throw new DrillError(`there is a folder ${folder} already: a drill is under way, or one was ` +
      'killed; then remove it')
  }
  makeFolder(folder)
  try {
    for (let i = 0; i < files; i++) {
      writeFileSync(join(folder, `drill-${i}.safetensors`), Buffer.alloc(fileBytes, 'drill '))
    }
    say(`made ${files} files of ${fileBytes} bytes in ${folder}; agents look for stores every 5 s`)
    await sleep(foundMs, undefined, { signal })
    return await act(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
    removeIfEmpty(dirname(folder))
  }
}

/** Another drill may have its store there. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw error
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new DrillError(`${folder} cannot be made (${code}): run it as root, with sudo, on a ` +
      'system that is not read-only', { cause: error })
  }
}
