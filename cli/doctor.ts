import { examineNode } from '../agent/self/doctor.ts'
import { examineNvml } from '../agent/gpu/examine.ts'
import { examineStores } from '../agent/stores/examine.ts'
import type { DoctorFact } from '../agent/self/doctor-fact.ts'
import type { CommandSpec } from './command.ts'
import { printLines, screenWidth, tone, toneOf } from './output.ts'
import { alignRows, wrap } from './text/table.ts'
import { printable } from './text/printable.ts'

/** Of `vedette up` and of `vedette agent`. */
const DATA_DIRS = ['./data', '/var/lib/vedette/agent']

export const spec: CommandSpec = {
  name: 'doctor',
  summary: 'what this machine can show: have, missing, what is lost, how to get it',
  examples: [
    'vedette doctor                 a table; exit 1 when something is missing',
    'vedette doctor --output json   one JSON object per fact, and for every program of a probe',
  ],
  settings: ['gpu_root', 'gpu_library', 'data'],
  changes: {
    data: { help: 'folder of the agent', shown: DATA_DIRS.join(', else ') },
  },
  async run({ output, gpu_root: root, gpu_library: library, data }) {
    const nvml = await examineNvml({ root, library })
    const stores = await examineStores({ dataDirs: data === undefined ? DATA_DIRS : [data] })
    const facts = [...examineNode(), ...nvml ? [nvml] : [], ...stores]
    await printLines(output === 'json' ? facts.map((fact) => JSON.stringify(fact))
      : doctorLines(facts.filter(({ name }) => !name.startsWith('program ')), screenWidth()))
    return isImpaired(facts) ? 1 : 0
  },
}

/** Means to an end, judged by what becomes of the programs; or needed on some nodes only. */
const OPTIONAL = ['kprobes', 'nvidia_driver']

/** True when something is lost that cannot be had in another way. */
export function isImpaired(facts: readonly DoctorFact[]): boolean {
  return facts.some(({ name, state, lost }) =>
    state === 'missing' && lost !== '' && !OPTIONAL.includes(name))
}

/** The facts as a table, what is lost and how to get it below each, and a sentence at the end. */
export function doctorLines(facts: readonly DoctorFact[], width: number): string[] {
  const rows = alignRows(facts.map(({ name, state, detail }) => [
    { text: state, paint: (text: string) => tone(toneOf(state), text) },
    printable(name), printable(detail),
  ]), width)
  const lines = facts.flatMap(({ lost, fix }, i) => [
    rows[i],
    ...(lost === '' ? [] : indented('lost:   ', lost, width)),
    ...(fix === '' ? [] : indented('to get: ', fix, width)),
  ])
  const missing = facts.filter(({ state }) => state === 'missing').length
  const degraded = facts.filter(({ state }) => state === 'degraded').length
  return [...lines, '', isImpaired(facts)
    ? `${missing} missing, ${degraded} degraded: what is lost stands below each. ` +
      'Programs: --output json.'
    : 'Everything that Vedette needs is here.']
}

function indented(label: string, text: string, width: number): string[] {
  const start = 12
  return wrap(printable(text), width - start - label.length).map((line, i) =>
    tone('faint', ' '.repeat(start) + (i === 0 ? label : ' '.repeat(label.length)) + line))
}
