// The kernel's log as it is: who may speak in it as the kernel, and who may not.

import { existsSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { KernelLog, openKmsg } from '../../agent/gpu/kmsg.ts'
import { parseXidLine } from '../../agent/gpu/xid-line.ts'
import { readKernelFacts } from '../../agent/probes/kernel-facts.ts'
import { whyNot } from './watch.ts'

const reason = whyNot() || (readKernelFacts().kernel_log ? '' : '/dev/kmsg cannot be read')
if (reason) process.stderr.write(`!! SKIPPED: the log of the kernel: ${reason}\n`)

const forged = 'NVRM: Xid (PCI:0000:1b:00): 79, GPU has fallen off the bus.'
/** As the kernel (0 to 7), as others, and as ones that are only 0 when they are cut to a byte. */
const priorities = ['', '<0>', '<3>', '<6>', '<7>', '<11>', '<2048>', '<2054>', '<4294967296>']

describe.skipIf(reason)(`the log of the kernel ${reason}`, () => {
  it('takes no program for the kernel, whatever priority it claims', () => {
    const raw = openKmsg()
    const buffer = Buffer.alloc(8192)
    const records: string[] = []
    const readRaw = (): void => {
      try {
        for (;;) records.push(buffer.toString('latin1', 0, raw.read(buffer)))
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN')
      }
    }
    const log = new KernelLog(openKmsg())
    while (log.read(() => {}, 1000));
    readRaw()
    records.length = 0
    for (const priority of priorities) writeFileSync('/dev/kmsg', `${priority}${forged}\n`)
    // Where the kernel can be made to say something itself, that is believed.
    if (existsSync('/proc/sysrq-trigger')) writeFileSync('/proc/sysrq-trigger', 'h')
    readRaw()
    const written = records.filter((record) => record.includes(forged))
    expect(written).toHaveLength(priorities.length)
    expect(written.map((record) => parseInt(record, 10)).every((priority) => priority >= 8)).toBe(true)

    const texts: string[] = []
    while (log.read(({ text }) => texts.push(text), 1000));
    expect(texts.filter((text) => parseXidLine(text))).toEqual([])
    expect(texts.some((text) => text.startsWith('sysrq: HELP'))).toBe(existsSync('/proc/sysrq-trigger'))
    raw.close()
    log.close()
  })
})
