import { describe, expect, it } from 'vitest'
import type { LineageProcess } from '../detect/lineage.ts'
import { interpretedOf } from './interpreted.ts'

function run(...args: string[]) {
  const exe = `/usr/bin/${args[0]}`
  const found = interpretedOf({ exe, comm: args[0], args: args.join('\0') } as LineageProcess)
  return found === null ? null : `${found.kind} ${found.text}`
}

describe('what an interpreter was told to run', () => {
  it('is the text behind the option for code, wherever it is attached', () => {
    expect(run('python3.11', '-c', 'import os')).toBe('code import os')
    expect(run('python3', '-uIc', 'x()')).toBe('code x()')
    expect(run('python3', '-cx()')).toBe('code x()')
    expect(run('python3', '-X', 'dev', '-W', 'ignore', '-c', 'x()')).toBe('code x()')
    expect(run('perl', '-ne', 'print')).toBe('code print')
    expect(run('node', '--eval', 'x()')).toBe('code x()')
    expect(run('php', '-r', 'x();')).toBe('code x();')
  })

  it('is a module or a file where one is named, whatever the options of the script are', () => {
    expect(run('python3', '-m', 'http.server', '-c', 'x')).toBe('module http.server')
    expect(run('python3', '-u', 'train.py', '-c', 'config.yaml')).toBe('file train.py')
    expect(run('python3', '--', '-c')).toBe('file -c')
    expect(run('ruby', '-I', 'lib', 'serve.rb', '-e', 'production')).toBe('file serve.rb')
    expect(run('perl', 'x.pl', '-e')).toBe('file x.pl')
  })

  it('is what comes from standard input where nothing is named', () => {
    expect(run('python3')).toBe('code ')
    expect(run('python3', '-')).toBe('code ')
    expect(run('python3', '-u')).toBe('code ')
  })

  it('is not known of other programs, nor without arguments', () => {
    expect(run('vllm', '-c', 'x')).toBeNull()
    expect(interpretedOf({ exe: '/usr/bin/python3', comm: '', args: '' } as LineageProcess)).toBeNull()
  })
})
