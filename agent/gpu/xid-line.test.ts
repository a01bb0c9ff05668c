import { describe, expect, it } from 'vitest'
import { parseXidLine } from './xid-line.ts'

describe('a line of an Xid', () => {
  it.each([
    ['NVRM: Xid (PCI:0000:1b:00): 48, pid=4121, name=python, DBE (double bit error)',
      { pci_address: '0000:1b:00.0', xid: 48, xid_pid: 4121, is_switch: false, previous_xid: 0,
        text: 'pid=4121, name=python, DBE (double bit error)' }],
    ['NVRM: Xid (PCI:0000:1b:00 GPU-I:05 GPU-CI:00): 13, pid=4121, name=python, Graphics Exception',
      { xid: 13, gpu_instance: '05', compute_instance: '00', xid_pid: 4121 }],
    ["NVRM: Xid (PCI:0000:1b:00): 31, pid='<unknown>', name=<unknown>, Ch 00000010, intr 00000000",
      { xid: 31, xid_pid: 0 }],
    ["NVRM: Xid (PCI:0000:1b:00): 31, pid='77', name=x, Ch 00000010", { xid: 31, xid_pid: 77 }],
    ['NVRM: Xid (PCI:0000:1b:00): 119, Timeout after 6s of waiting for RPC response from GPU0 GSP!',
      { xid: 119, xid_pid: 0, text: 'Timeout after 6s of waiting for RPC response from GPU0 GSP!' }],
    ['NVRM: Xid (PCI:0000:1b:00): 45, pid=4121, name=python, Ch 00000008 caused by previous Xid 13',
      { xid: 45, previous_xid: 13 }],
    ['NVRM: Xid (PCI:0000:1b:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x00000000 0x00000000)',
      { xid: 149 }],
    ['NVRM: Xid (0000:03:00): 14, 0000', { pci_address: '0000:03:00.0', xid: 14 }],
    ['NVRM: Xid (PCI:00000000:AF:00.0): 79, GPU has fallen off the bus.', { pci_address: '0000:af:00.0' }],
    ['NVRM: Xid (PCI:00010000:01:00): 79, GPU has fallen off the bus.', { pci_address: '10000:01:00.0' }],
    ['nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 LTSSM Fault Up',
      { pci_address: '0000:c1:00.0', xid: 20034, is_switch: true, xid_pid: 0 }],
  ])('%s', (line, wanted) => {
    expect(parseXidLine(line)).toMatchObject(wanted)
  })

  it.each([
    'NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  570.211.01  Release Build',
    'NVRM: GPU 0000:18:00.0: GPU has fallen off the bus.',
    "NVRM: API mismatch: the client 'NVRM: Xid (PCI:0000:1b:00): 48, x' (pid 990)",
    ' NVRM: Xid (PCI:0000:1b:00): 48, x',
    'x: NVRM: Xid (PCI:0000:1b:00): 48, x',
    // The name of a process has 15 characters: it cannot reach the number.
    'NVRM: Xid (PCI:[4121]: segfault at 0 ip 0 sp 0 error 4',
    'NVRM: Xid (PCI:0000:1b:00): , x', 'NVRM: Xid (PCI:0000:1b:00): 1234567, x',
    'NVRM: Xid (PCI:0000:1b:00) : 48, x', 'NVRM: Xid (PCI:zz:1b:00): 48, x', 'NVRM: Xid (PCI:', '',
    'nvidia-nvswitch0: Xid (PCI:0000:c1:00.0): 20034, Fatal',
  ])('is not this: %s', (line) => {
    expect(parseXidLine(line)).toBeUndefined()
  })

  it('is believed in front of its text only: a name that lies changes nothing', () => {
    const lie = 'NVRM: Xid (PCI:0000:1b:00): 13, pid=7, name=x): 79, pid=1, name=NVRM: Xid (PCI:0000:ff:00): 48'
    expect(parseXidLine(lie)).toMatchObject({ pci_address: '0000:1b:00.0', xid: 13, xid_pid: 7 })
    // Only an Xid 45 names a cause, and at its end.
    const cause = 'NVRM: Xid (PCI:0000:1b:00): 13, pid=7, name=x caused by previous Xid 79, y'
    expect(parseXidLine(cause)).toMatchObject({ previous_xid: 0 })
    expect(parseXidLine(`${cause} caused by previous Xid 79`)).toMatchObject({ previous_xid: 0 })
  })

  it('is bounded: a long text is cut, and a pid that cannot be is none', () => {
    const long = parseXidLine(`NVRM: Xid (PCI:0000:1b:00): 13, ${'x'.repeat(8000)}`)
    expect(long?.text).toHaveLength(512)
    expect(parseXidLine('NVRM: Xid (PCI:0000:1b:00): 13, pid=9999999999, name=x')?.xid_pid).toBe(0)
  })

  it('never throws and never says what it cannot mean, whatever the bytes are', () => {
    const good = 'NVRM: Xid (PCI:0000:1b:00 GPU-I:05 GPU-CI:00): 45, pid=4121, name=p, x caused by previous Xid 13'
    let seed = 11
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return Math.floor(seed / 4294967296 * below)
    }
    let found = 0
    for (let round = 0; round < 50_000; round++) {
      const bytes = Buffer.from(good, 'latin1')
      for (let i = 0; i <= random(4); i++) bytes[random(bytes.length)] = random(256)
      const parsed = parseXidLine(bytes.subarray(0, random(3) ? bytes.length : random(bytes.length)).toString('latin1'))
      if (!parsed) continue
      found++
      expect(parsed.pci_address).toMatch(/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/)
      expect(parsed.xid).toBeLessThan(1_000_000)
      expect(parsed.xid_pid).toBeLessThanOrEqual(2 ** 22)
    }
    expect(found).toBeGreaterThan(5000)
  })
})
