// `npm run bench`: each bench in a process of its own, one after the other, one table at the end.
//
//   node bench/main.ts [NAME…] [--json]
//
// Exit status 0 also when a goal is missed: the table says so, a noisy machine may be the reason.

import { spawn } from 'node:child_process'
import { parseArgs } from 'node:util'
import { table } from './figure.ts'
import type { BenchResult, Figure } from './figure.ts'

type Bench = () => Promise<{ measure(): Promise<Figure[]> }>

const benches: Record<string, Bench> = {
  'pipeline': () => import('./pipeline.ts'),
  'hooks': () => import('./hooks.ts'),
  'packets': () => import('./packets.ts'),
  'gpu-calls': () => import('./gpu-calls.ts'),
  'store-reads': () => import('./store-reads.ts'),
  'engine': () => import('./engine.ts'),
  'chain': () => import('./chain.ts'),
  'log': () => import('./log.ts'),
  'end-to-end': () => import('./end-to-end.ts'),
  'connection-flood': () => import('./connection-flood.ts'),
  'quiet': () => import('./quiet.ts'),
}
const names = Object.keys(benches)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    /** Measure here and print figures as JSON: how the parent calls itself. */
    child: { type: 'boolean', default: false },
  },
})
const unknown = positionals.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  const list = names.join(', ')
  process.stderr.write(`bench: no such bench: ${unknown.join(', ')}. There are: ${list}\n`)
  process.exit(2)
}
await (values.child ? measureHere(positionals[0]) : measureAll())

async function measureAll(): Promise<void> {
  const results: BenchResult[] = []
  for (const bench of positionals.length > 0 ? positionals : names) {
    process.stderr.write(`bench: ${bench} …\n`)
    results.push(await measureInChild(bench))
  }
  const text = values.json ? JSON.stringify(results, null, 2) : table(results)
  process.stdout.write(`${text}\n`)
}

/** A child of its own: memory and compiled code of one bench are nothing to the next. */
function measureInChild(bench: string): Promise<BenchResult> {
  const words = [...process.execArgv, import.meta.filename, '--child', bench]
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (data) => { output += data })
  return new Promise((resolve) => {
    child.on('close', (code) => {
      if (code === 0) resolve({ bench, figures: JSON.parse(output) as Figure[] })
      else resolve({ bench, figures: [], failure: `it ended with ${code}: see above` })
    })
  })
}

async function measureHere(bench: string): Promise<void> {
  const { measure } = await benches[bench]()
  process.stdout.write(JSON.stringify(await measure()))
}
