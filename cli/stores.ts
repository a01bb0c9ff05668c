import { suggest } from '../policy/read/suggest.ts'
import type { CommandSpec, ExitCode } from './command.ts'
import { CliError } from './errors.ts'
import { timeOption } from './events.ts'
import { printLines, say, screenWidth } from './output.ts'
import type { StoreReadings } from './read/store-readings.ts'
import { readReadings, readUsual } from './read/store-usual.ts'
import { storeLines } from './stores/one.ts'
import { contentTable, placeTable, userTable } from './stores/overview.ts'
import { isPermitted, jsonLines, storeView } from './stores/view.ts'
import { TIME_FORMS } from './text/time.ts'

const FROM_DEFAULT = '1d'
const LIMIT_DEFAULT = 10

export const spec: CommandSpec = {
  name: 'stores',
  argument: '[store]',
  argumentHelp: 'only this store of the policy, in full',
  summary: 'the stores of the policy: where they are watched, who read and changed what, against ' +
    'normal',
  examples: [
    'vedette stores                        the last day; exit 1 when somebody did who may not',
    'vedette stores imagenet --from 7d     one store in full: who, by which program and how',
    'vedette stores --output json          all who used them, with what is usual of each',
  ],
  settings: ['from', 'to', 'limit', 'server', 'data', 'tls_ca', 'tls_cert', 'tls_key'],
  changes: {
    data: { help: 'read this data folder instead of asking a correlator' },
    from: { help: `what was done from then on: ${TIME_FORMS}`, default: FROM_DEFAULT },
    to: { help: 'what was done until then' },
    limit: { help: 'workloads of a store that are shown', default: String(LIMIT_DEFAULT) },
  },
  async run(values, only): Promise<ExitCode> {
    const { output, limit = LIMIT_DEFAULT } = values
    const fromMs = timeOption('from', values.from) ?? 0
    const toMs = timeOption('to', values.to) ?? Infinity
    const readings = await readReadings(values, { fromMs, toMs })
    const names = wantedNames(readings, only)
    const usual = await readUsual(values, fromMs, only === undefined ? [] : [only])
    const stores = names.map((name) => storeView(readings, name, usual))
    const width = screenWidth()
    await printLines(output === 'json' ? stores.flatMap(jsonLines)
      : only !== undefined ? storeLines(stores[0], limit, fromMs, width)
        : [...placeTable(stores, width), ...userTable(stores, limit, width),
          ...contentTable(stores, width)])
    if (stores.length === 0) say('the policy names no stores, and nothing was done to one')
    const unlisted = readings.unlisted + readings.content.unlisted
    if (unlisted > 0) say(`vedette: not complete: ${unlisted} reports beyond the bound`)
    return stores.some(({ users }) => users.some((user) => !isPermitted(user))) ? 1 : 0
  },
}

function wantedNames(readings: StoreReadings, only: string | undefined): string[] {
  const names = readings.names()
  if (only === undefined) return names
  if (names.includes(only)) return [only]
  const near = suggest(only, names)
  throw new CliError('CLI_NO_DATA', `there is no store ${JSON.stringify(only)}` +
    (near !== null ? `; did you mean ${near}?`
      : names.length === 0 ? '; the policy names none' : `; there are ${names.join(', ')}`))
}
