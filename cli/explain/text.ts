/** Explanations for a person, and as JSON. */
import type { ExplainedEnd, Explanation } from '../../policy/explain.ts'
import type { FlowFit } from '../../policy/match/flow-rules.ts'
import { tone } from '../output.ts'
import { printable } from '../text/printable.ts'
import { wrap } from '../text/table.ts'

const FAILS: Record<FlowFit['fails'][number], string> = {
  ports: 'another port or protocol', executables: 'another program',
  service_accounts: 'another service account', from_cidrs: 'comes from elsewhere',
  to_dns: 'no such name was given for the address',
}
/** Flows that are shown; a policy may have a thousand. */
const FLOWS_MAX = 8

/**
 * One explanation as lines.
 *
 * @param ends the two ends in words
 * @param file name of the policy file, in front of line numbers
 */
export function explanationLines(
  explanation: Explanation, ends: readonly [from: string, to: string], file: string,
  width: number,
): string[] {
  const { from, to, port, protocol, allowed, missing } = explanation
  const [head, reason] = headOf(explanation, file)
  return [
    `${tone(allowed ? 'good' : 'bad', head)}: ${from.zone} to ${to.zone}, port ` +
      `${port}/${printable(protocol)}`,
    ...endLines('from', ends[0], from, file),
    ...endLines('to', ends[1], to, file),
    ...wrap(reason, width - 2).map((line) => `  ${line}`),
    ...(allowed ? [] : flowLines(explanation.flows, file)),
    ...(missing === '' ? [] : ['  To allow it, add below flows:',
      ...missing.trimEnd().split('\n').map((line) => `  ${line}`)]),
  ]
}

function headOf(explanation: Explanation, file: string): [head: string, reason: string] {
  const { because, flow, identityUnknown } = explanation
  switch (because) {
    case 'same_zone': return ['allowed', 'Within a zone everything is allowed.']
    case 'outside_policy':
      return ['allowed', 'Neither end is in a zone of the policy: such traffic is not judged.']
    case 'no_flow': return ['not allowed', 'No flow allows it.']
    case 'flow': {
      const where = `${file}:${flow!.line}: ${printable(flow!.reason)}`
      return identityUnknown
        ? ['allowed, as far as is known', `The flow allows it for some, and who opens it is not ` +
          `known here: ${where}`]
        : ['allowed', `By the flow at ${where}`]
    }
  }
}

function endLines(word: string, end: string, explained: ExplainedEnd, file: string): string[] {
  const { zone, exposure, rule, why } = explained
  const where = rule === null ? '' : `${file}:${rule.line}: `
  return [
    `  ${word.padEnd(5)} ${printable(end)}`,
    `        is in ${zone} (${exposure}): ${where}${printable(why)}`,
  ]
}

function flowLines(flows: readonly FlowFit[], file: string): string[] {
  const lines = flows.slice(0, FLOWS_MAX).map(({ flow, fails }) =>
    `        ${file}:${flow.line}: ${flow.from} to ${flow.to} does not: ` +
    fails.map((one) => FAILS[one]).join(', '))
  if (flows.length > FLOWS_MAX) lines.push(`        and ${flows.length - FLOWS_MAX} more`)
  return lines
}

/** One explanation as a JSON object with flat keys. */
export function explanationJson(explanation: Explanation): object {
  const { allowed, because, identityUnknown, port, protocol, from, to, flow, flows, missing } =
    explanation
  return {
    allowed, because, identity_unknown: identityUnknown, protocol, port,
    ...endJson('from', from), ...endJson('to', to),
    flow_line: flow?.line ?? null, flow_reason: flow?.reason ?? null,
    flows_not_fitting: flows.filter(({ fails }) => fails.length > 0)
      .map(({ flow: { line }, fails }) => ({ line, fails })),
    missing_rule: missing,
  }
}

function endJson(word: 'from' | 'to', { zone, exposure, rule, why }: ExplainedEnd): object {
  return {
    [`${word}_zone`]: zone, [`${word}_exposure`]: exposure, [`${word}_why`]: why,
    [`${word}_matcher`]: rule?.matcher ?? null, [`${word}_line`]: rule?.line ?? null,
  }
}
