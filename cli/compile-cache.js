// Keeps the code compiled between starts, with the types already taken out, in Node's own compile
// cache. Plain JavaScript: it must be in force before the first TypeScript file is loaded.
// Why, and what is trusted: docs/decisions/0021-compiled-code-is-kept.md.
import { lstatSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const FLUSH_AFTER_MS = 60_000
const WRITABLE_BY_OTHERS = 0o022

const code = fileURLToPath(import.meta.url)
/** Beside the addon, which runs with the same trust. */
const folder = join(dirname(dirname(code)), 'build/compile-cache')

/**
 * Turns the cache on: in the folder of NODE_COMPILE_CACHE, where Node does it itself, else in
 * build/compile-cache; not at all with NODE_DISABLE_COMPILE_CACHE. Without a folder that can be
 * trusted everything is compiled anew, which takes longer and harms nothing. Never throws.
 */
export function keepCompiledCode() {
  const { NODE_COMPILE_CACHE, NODE_DISABLE_COMPILE_CACHE } = process.env
  if (NODE_DISABLE_COMPILE_CACHE) return
  if (!NODE_COMPILE_CACHE && !turnOn()) return
  // Node writes at the end, which SIGKILL takes from a process that has run for months.
  setTimeout(() => module.flushCompileCache(), FLUSH_AFTER_MS).unref()
}

function turnOn() {
  // Node makes folders as the mask allows; what others may write is not used the next time.
  const mask = process.umask(WRITABLE_BY_OTHERS)
  try {
    process.umask(mask | WRITABLE_BY_OTHERS)
    mkdirSync(folder, { recursive: true })
    if (!isTrusted()) return false
    // Portable: valid also where the checkout is mounted or unpacked in another place.
    const { status } = module.enableCompileCache({ directory: folder, portable: true })
    if (status !== module.constants.compileCacheStatus.ENABLED) return false
    // Threads, and the processes that drills start, know of it only by these.
    Object.assign(process.env, { NODE_COMPILE_CACHE: folder, NODE_COMPILE_CACHE_PORTABLE: '1' })
    return true
  } catch {
    return false
  } finally {
    process.umask(mask)
  }
}

/** Who may write here runs code as us: only the owner of the code and root may. */
function isTrusted() {
  const owners = [0, statSync(code).uid]
  const isSafe = (facts) => facts.isDirectory() && owners.includes(facts.uid) &&
    (facts.mode & WRITABLE_BY_OTHERS) === 0
  // One folder for each version of Node, kind of processor, options and user.
  return isSafe(lstatSync(folder)) &&
    readdirSync(folder).every((name) => isSafe(statSync(join(folder, name))))
}
