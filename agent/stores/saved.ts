// The stores of the policy as the correlator told them last, in the data folder of the agent: it
// watches with them from the first moment of the next start.

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rulesOfMessage, STORES_BYTES_MAX, StoreRulesError } from '../../stores/rule-message.ts'
import type { StoresMessage } from '../../stores/rule-message.ts'
import type { StoreRule } from '../../stores/rule.ts'
import { AgentError } from '../errors.ts'

/** Of the file in the data folder. */
export const savedName = 'stores.json'

/** What was saved; none when nothing was. Throws AgentError STORES_SAVED when it is damaged. */
export function readSaved(dataDir: string): { sha256: string, rules: StoreRule[] } {
  const path = join(dataDir, savedName)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { sha256: '', rules: [] }
    throw new AgentError('STORES_SAVED', `${path} cannot be read: ${String(error)}`, error)
  }
  try {
    if (text.length > 2 * STORES_BYTES_MAX) throw new StoreRulesError('it is too large')
    const message = JSON.parse(text) as StoresMessage
    return { sha256: message.sha256, rules: rulesOfMessage(message) }
  } catch (error) {
    throw new AgentError('STORES_SAVED', `${path} is damaged: ${(error as Error).message}`, error)
  }
}

/** Throws AgentError STORES_SAVED. Not synced: after a power cut the correlator tells it again. */
export function save(dataDir: string, message: StoresMessage): void {
  const path = join(dataDir, savedName)
  try {
    const { sha256, rules } = message
    writeFileSync(`${path}.new`, `${JSON.stringify({ sha256, rules })}\n`, { mode: 0o640 })
    renameSync(`${path}.new`, path)
  } catch (error) {
    throw new AgentError('STORES_SAVED', `${path} cannot be written: ${String(error)}`, error)
  }
}
