import { describe, expect, it } from 'vitest'
import { compileSelector, selects } from './selector.ts'

const matches = (text: string, labels: string[], namespace = ''): boolean => {
  return selects(compileSelector(text)!, labels, namespace)
}

describe('a label selector', () => {
  it('needs all of its parts', () => {
    const labels = ['app=llm', 'tier=front', 'app.kubernetes.io/name=vllm']
    expect(matches('app=llm', labels)).toBe(true)
    expect(matches('app=llm, tier=front', labels)).toBe(true)
    expect(matches('app=llm,tier=back', labels)).toBe(false)
    expect(matches('app.kubernetes.io/name=vllm', labels)).toBe(true)
    expect(matches('name=vllm', labels)).toBe(false)
  })

  it('takes * in values only, and an empty value as it is', () => {
    expect(matches('version=2.*', ['version=2.1'])).toBe(true)
    expect(matches('gpu=*', ['gpu='])).toBe(true)
    expect(matches('gpu=*', ['cpu=1'])).toBe(false)
    expect(matches('gpu=', ['gpu='])).toBe(true)
    expect(matches('gpu=', ['gpu=1'])).toBe(false)
    expect(compileSelector('g*=1')).toBeNull()
  })

  it('is not fooled by a key that another one begins with', () => {
    expect(matches('app=llm', ['app2=llm', 'ap=p=llm'])).toBe(false)
    expect(matches('app=llm', ['app=llm=x'])).toBe(false)
  })

  it('takes the namespace from the API server, never from a label of the pod', () => {
    const selector = 'app=llm,kubernetes.io/metadata.name=serving'
    expect(matches(selector, ['app=llm'], 'serving')).toBe(true)
    expect(matches(selector, ['app=llm', 'kubernetes.io/metadata.name=serving'], 'team-x')).toBe(false)
    expect(matches(selector, ['app=llm', 'kubernetes.io/metadata.name=serving'])).toBe(false)
  })

  it('is refused when a part is not key=value', () => {
    for (const text of ['', 'app', 'app!=llm', 'app in (a)', 'app=llm,', '=llm', 'app=a b', '-a=1', 'a/b/c=1']) {
      expect(compileSelector(text), text).toBeNull()
    }
  })
})
