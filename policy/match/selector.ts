/**
 * Label selectors, as `kubectl -l` takes them: `app=llm`, or `app=llm,tier=front`, where all parts
 * must match. A value may be a glob: `version=2.*`, `gpu=*` for any value.
 */
import { compileGlob } from './glob.ts'
import type { Glob } from './glob.ts'

/**
 * The label that Kubernetes itself puts on namespaces. In a selector it stands for the namespace of
 * the pod, as the API server says it, never for a label of the pod: who makes a pod chooses those.
 */
export const NAMESPACE_LABEL = 'kubernetes.io/metadata.name'

/** One part of a selector. */
export type Requirement = { key: string, value: Glob }

/** A selector made ready. `literals` and `stars` sort it among others, as those of a glob. */
export type Selector = {
  text: string
  requirements: Requirement[]
  literals: number
  stars: number
}

const PREFIX = '(?:[A-Za-z0-9](?:[-A-Za-z0-9.]{0,251}[A-Za-z0-9])?/)?'
const NAME = '[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?'
const PART = new RegExp(`^(${PREFIX}${NAME})=([-A-Za-z0-9_.*]{0,128})$`)

/** Null when a part is not `key=value`. */
export function compileSelector(text: string): Selector | null {
  const requirements: Requirement[] = []
  for (const part of text.split(',')) {
    const parsed = PART.exec(part.trim())
    if (parsed === null) return null
    requirements.push({ key: parsed[1], value: compileGlob(parsed[2]) })
  }
  return {
    text, requirements,
    // One part more says more than any number of characters in the parts.
    literals: requirements.reduce((sum, { value }) => sum + value.literals + 1000, 0),
    stars: requirements.reduce((sum, { value }) => sum + value.stars, 0),
  }
}

/**
 * True when every part has a label that matches.
 *
 * @param labels each `key=value`
 */
export function selects(
  { requirements }: Selector, labels: readonly string[], namespace: string,
): boolean {
  return requirements.every(({ key, value }) => {
    if (key === NAMESPACE_LABEL) return namespace !== '' && value.matches(namespace)
    return labels.some((label) => {
      return label[key.length] === '=' && label.startsWith(key) &&
        value.matches(label.slice(key.length + 1))
    })
  })
}
