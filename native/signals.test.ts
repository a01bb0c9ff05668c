// The verifier gives up when a signal waits: a process that is signalled all the time must load.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const able = process.getuid?.() === 0 && existsSync('/sys/kernel/btf/vmlinux')
if (!able) console.warn('SKIPPED: loading under signals needs root and a kernel with BTF')

const code = `
  import { KernelObject } from '${import.meta.dirname}/index.ts'
  const { object, failure } = KernelObject.load({
    programs: ['connection_state_tp_btf', 'process_exec_tp_btf'], ring_bytes: 65536,
    sockets_max: 64, scope_cgroup_id: 1n, scope_cgroup_level: 1,
    accept_visible: false, connect_visible: false,
  })
  process.stdout.write(failure ? failure.code : 'loaded')
  object?.close()
`

describe.skipIf(!able)('the addon', () => {
  it('loads while a profiler interrupts the thread every tenth of a millisecond', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vedette-signals-'))
    try {
      // The addon under test may be the sanitized one: its runtime must come first.
      const preload = process.env.VEDETTE_NATIVE_PRELOAD
      const { stdout, stderr } = spawnSync(process.execPath, [
        '--cpu-prof', '--cpu-prof-interval', '100', '--cpu-prof-dir', folder,
        '--input-type=module-typescript', '--eval', code,
      ], { encoding: 'utf8', env: { ...process.env, ...(preload && { LD_PRELOAD: preload }) } })
      expect(stdout, stderr).toBe('loaded')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
