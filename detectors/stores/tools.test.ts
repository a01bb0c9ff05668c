import { describe, expect, it } from 'vitest'
import type { LineageProcess } from '../../detect/lineage.ts'
import { useOf } from './tools.ts'

function use(exe: string, ...args: string[]) {
  return useOf({ exe, comm: exe.slice(exe.lastIndexOf('/') + 1), args: args.join('\0') } as LineageProcess)
}

describe('programs that do with files what no server does', () => {
  it('are known by name, also with a version, as an applet, and as a script', () => {
    expect(use('/usr/bin/tar')).toBe('packs')
    expect(use('/usr/bin/7z')).toBe('packs')
    expect(use('/usr/bin/base64')).toBe('shows')
    expect(use('/usr/local/bin/s5cmd')).toBe('sends')
    expect(use('/usr/lib/openssh/sftp-server')).toBe('sends')
    expect(use('/bin/busybox', '/bin/busybox', 'cp', 'a', 'b')).toBe('copies')
    expect(use('/usr/bin/coreutils', 'cat', 'a')).toBe('shows')
    expect(use('/usr/bin/python3.11', 'python3', '/usr/local/bin/huggingface-cli', 'upload')).toBe('sends')
    expect(use('/usr/bin/python3', 'python3', 'tools/s3cmd.py')).toBe('sends')
  })

  it('are shells, lines for an interpreter, and modules that pack or serve files', () => {
    expect(use('/bin/bash', 'bash')).toBe('runs_a_line')
    expect(use('/usr/bin/python3', 'python3')).toBe('runs_a_line')
    expect(use('/usr/bin/perl', 'perl', '-ne', 'print')).toBe('runs_a_line')
    for (const option of ['-c', '-Ic', '-uBc']) {
      expect(use('/opt/venv/bin/python3.12', 'python', option, 'import shutil; shutil.copytree("/w", "/tmp/w")'))
        .toBe('runs_a_line')
    }
    expect(use('/usr/bin/python3', 'python3', '-X', 'dev', '-c', 'print(open("/w/a").read())')).toBe('runs_a_line')
    expect(use('/usr/bin/python3', 'python3', '-')).toBe('runs_a_line')
    expect(use('/usr/bin/python3', '/usr/bin/python3', '/usr/bin/ipython3', '-c', '1')).toBe('runs_a_line')
    expect(use('/usr/bin/python3', 'python3', '-m', 'IPython')).toBe('runs_a_line')
    expect(use('/usr/bin/python3', 'python3', '-m', 'tarfile', '-c', 'x.tar', 'w')).toBe('packs')
    expect(use('/usr/bin/python3', 'python3', '-m', 'http.server')).toBe('sends')
  })

  it('are not servers, trainings, checks of digests, and workers of process pools', () => {
    expect(use('/opt/vllm/bin/vllm')).toBeNull()
    expect(use('/usr/bin/sha256sum')).toBeNull()
    expect(use('/usr/bin/python3', 'python3', '-u', 'train.py', '-c', 'x.yaml')).toBeNull()
    expect(use('/usr/bin/python3', 'python3', '-m', 'vllm.entrypoints.openai.api_server')).toBeNull()
    expect(use('/usr/bin/python3', 'python3', '-c', 'from multiprocessing.forkserver import main; '
      + "main(7, 8, ['__main__'], **{'sys_path': ['/a b'], 'main_path': '/x/train.py'})")).toBeNull()
    expect(use('/usr/bin/python3')).toBeNull()
  })

  it('do not hide behind the line of a process pool', () => {
    expect(use('/usr/bin/python3', 'python3', '-c', 'from multiprocessing.spawn import os; '
      + "os.system('tar c /data')")).toBe('runs_a_line')
    expect(use('/usr/bin/python3', 'python3', '-c', 'from multiprocessing.spawn import spawn_main; '
      + "spawn_main(open('/data'))")).toBe('runs_a_line')
  })
})
