import { describe, expect, it } from 'vitest'
import type { NativeFailure } from '../../native/index.ts'
import { LateProbes } from './late.ts'
import type { ExtensibleKernel } from './late.ts'
import { refusalWithoutKprobes } from './refusal.ts'
import { probeTable } from './table.ts'
import type { Probe } from './table.ts'

const vsock: Probe = {
  name: 'vsock_connection', module: 'vsock', lost: 'vsock',
  ways: [
    { programs: ['connect_fentry', 'accept_fexit'], attach_type: 'fexit', lost: '' },
    { programs: ['connect_kprobe'], attach_type: 'kretprobe', lost: '' },
  ],
}

function failure(operation: string, program: string, code = 'ESRCH'): NativeFailure {
  return { operation, errno: code === 'EPERM' ? 1 : 3, code, program, detail: 'not found' }
}

/** A kernel that refuses the programs named, and remembers what is attached. */
class FakeKernel implements ExtensibleKernel {
  readonly extended: string[][] = []
  readonly attached = new Set<string>()
  refused: { load?: string, attach?: string } = {}

  extend(programs: readonly string[]): NativeFailure | undefined {
    this.extended.push([...programs])
    const { load } = this.refused
    return load && programs.includes(load) ? failure('load', load) : undefined
  }

  attach(program: string): NativeFailure | undefined {
    if (program === this.refused.attach) return failure('attach', program)
    this.attached.add(program)
    return undefined
  }

  detach(program: string): void {
    this.attached.delete(program)
  }
}

describe('the probes of kernel modules', () => {
  it('wait for the module, say so once, and are attached when it is there', () => {
    const kernel = new FakeKernel()
    let found: 'absent' | 'loaded' = 'absent'
    const late = new LateProbes({
      moduleIdentity: () => 1,
      kernel, probes: [vsock], refusals: [], privileged: true, readModule: () => found,
    })
    expect(late.states).toMatchObject([{
      probe: 'vsock_connection', state: 'waiting', error: 0, lost: '',
      reason: 'the kernel module vsock is not loaded',
    }])
    expect(late.look()).toEqual([])
    expect(kernel.extended).toEqual([])
    found = 'loaded'
    expect(late.look()).toMatchObject([{ state: 'attached', attach_type: 'fexit', reason: '' }])
    expect([...kernel.attached]).toEqual(['connect_fentry', 'accept_fexit'])
    expect(late.states[0].state).toBe('attached')
    expect(late.look()).toEqual([])
    expect(kernel.extended).toHaveLength(1)
  })

  it.each([{ load: 'accept_fexit' }, { attach: 'accept_fexit' }])(
    'take the next way when one is refused, and leave nothing of the first (%o)', (refused) => {
      const kernel = new FakeKernel()
      kernel.refused = refused
      const late = new LateProbes({
        moduleIdentity: () => 1,
        kernel, probes: [vsock], refusals: [], privileged: true, readModule: () => 'loaded',
      })
      expect(late.states).toMatchObject([{ state: 'attached', attach_type: 'kretprobe', error: 3 }])
      expect(late.states[0].reason).toContain('accept_fexit')
      expect([...kernel.attached]).toEqual(['connect_kprobe'])
    })

  it('do not try what the kernel refused of other probes', () => {
    const kernel = new FakeKernel()
    const fexit = {
      program: 'x', attach_type: 'fexit', errno: 1, reason: 'no fexit here', family: true,
    } as const
    const late = new LateProbes({
      moduleIdentity: () => 1,
      kernel, probes: [vsock], refusals: [fexit, refusalWithoutKprobes()], privileged: false,
      readModule: () => { throw new Error('nobody asks for the module') },
    })
    expect(late.states[0]).toMatchObject({ state: 'missing', error: 1 })
    expect(late.states[0].reason).toContain('no fexit here; this kernel is built without kprobes')
    expect(late.look()).toEqual([])
    expect(kernel.extended).toEqual([])
  })

  it('give up after three tries', () => {
    const kernel = new FakeKernel()
    kernel.refused = { attach: 'connect_fentry' }
    const probe = { ...vsock, ways: vsock.ways.slice(0, 1) }
    const late = new LateProbes({
      moduleIdentity: () => 1,
      kernel, probes: [probe], refusals: [], privileged: true, readModule: () => 'loaded',
    })
    for (let i = 0; i < 10; i++) expect(late.look()).toEqual([])
    expect(kernel.extended).toHaveLength(3)
    expect(late.states[0]).toMatchObject({ state: 'missing', error: 3 })
  })

  it('say what they need when the kernel keeps the types of modules for itself', () => {
    const kernel = new FakeKernel()
    kernel.refused = { load: 'connect_fentry' }
    const probe = { ...vsock, ways: vsock.ways.slice(0, 1) }
    const [state] = new LateProbes({
      moduleIdentity: () => 1,
      kernel, probes: [probe], refusals: [], privileged: false, readModule: () => 'loaded',
    }).states
    expect(state).toMatchObject({ state: 'missing', lost: 'vsock' })
    expect(state.reason).toContain('CAP_SYS_ADMIN')
  })

  it('are left alone when the module is not of this kernel: its types are not known', () => {
    const kernel = new FakeKernel()
    const late = new LateProbes({
      moduleIdentity: () => 1,
      kernel, probes: [vsock], refusals: [], privileged: true, readModule: () => 'foreign',
    })
    expect(late.states[0].state).toBe('missing')
    expect(late.states[0].reason).toContain('was not built with this kernel')
    expect(kernel.extended).toEqual([])
  })

  it('are those of the table with a module, each in two ways if it uses its types', () => {
    const modules = probeTable.filter(({ module, untyped }) => module && !untyped)
    expect(modules.map(({ module }) => module).sort()).toEqual(['ib_core', 'rdma_cm', 'vsock'])
    expect(modules.every(({ ways }) => ways.length === 2)).toBe(true)
  })
})

describe('the probes of data stores', () => {
  const reads: Probe = {
    name: 'store_read', needs: 'stores', lost: 'reads',
    ways: [{ programs: ['read_fexit'], attach_type: 'fexit', lost: '' },
      { programs: ['read_exit', 'read_ring'], attach_type: 'tp_btf', lost: 'much' },
      { programs: ['read_exit'], attach_type: 'tp_btf', lost: 'more' }],
  }
  const open = (kernel: FakeKernel) => new LateProbes({
    kernel, probes: [vsock, reads], refusals: [], privileged: false, readModule: () => 'absent',
    moduleIdentity: () => 0,
  })

  it('are not even loaded without a store, attached with the first, and taken away with the last', () => {
    const kernel = new FakeKernel()
    const late = open(kernel)
    expect(late.states[1]).toMatchObject({ state: 'waiting', reason: 'there is no data store on this node', lost: '' })
    expect(late.setStores(false)).toEqual([])
    expect(kernel.extended).toEqual([])
    expect(late.setStores(true)).toMatchObject([{ probe: 'store_read', state: 'attached', attach_type: 'fexit' }])
    expect([late.setStores(true), late.look()]).toEqual([[], []])
    expect(late.setStores(false)).toMatchObject([{ probe: 'store_read', state: 'waiting' }])
    expect([...kernel.attached]).toEqual([])
    expect(late.look()).toEqual([])
    expect(late.setStores(true)).toMatchObject([{ state: 'attached' }])
    expect([...kernel.attached]).toEqual(['read_fexit'])
    expect(kernel.extended).toHaveLength(1)
  })

  it('take the way that the kernel allows, and say why not the others, also without CAP_SYS_ADMIN', () => {
    const kernel = new FakeKernel()
    kernel.refused = { load: 'read_fexit', attach: 'read_ring' }
    expect(open(kernel).setStores(true)).toMatchObject([{ state: 'degraded', program: 'read_exit', lost: 'more' }])
    kernel.refused = { load: 'read_exit', attach: 'read_fexit' }
    expect(open(kernel).setStores(true)).toMatchObject([{
      state: 'missing', lost: 'reads', reason: expect.not.stringContaining('module') }])
  })

  it('are loaded together, but for those that the kernel refuses, which are tried alone', () => {
    const kernel = new FakeKernel()
    const probe = (name: string): Probe => ({
      name, needs: 'stores', lost: name,
      ways: [{ programs: [`${name}_fexit`], attach_type: 'fexit', lost: '' },
        { programs: [`${name}_kprobe`], attach_type: 'kretprobe', lost: '' }],
    })
    const late = new LateProbes({
      kernel, probes: [probe('one'), probe('two'), probe('three')], refusals: [], privileged: true,
      readModule: () => 'absent', moduleIdentity: () => 0,
    })
    kernel.refused = { load: 'two_fexit' }
    expect(late.setStores(true)).toMatchObject([
      { attach_type: 'fexit', reason: '' },
      { attach_type: 'kretprobe', reason: expect.stringContaining('two_fexit') },
      { attach_type: 'fexit', reason: '' },
    ])
    expect(kernel.extended).toEqual([
      ['one_fexit', 'two_fexit', 'three_fexit'], ['one_fexit', 'three_fexit'],
      ['two_fexit'], ['two_kprobe'],
    ])
    expect([...kernel.attached]).toEqual(['one_fexit', 'two_kprobe', 'three_fexit'])
  })

  it('that wait for a module and a store need both, and give way to one that sees all of it', () => {
    const nfs: Probe = {
      name: 'store_read_nfs', needs: 'stores', module: 'nfs', untyped: true, lost: 'direct reads',
      unless: { probe: 'store_read', attach_type: 'tp_btf' },
      ways: [{ programs: ['nfs_kretprobe'], attach_type: 'kretprobe', lost: '' }],
    }
    let found: 'absent' | 'loaded' = 'absent'
    const kernel = new FakeKernel()
    const openBoth = () => new LateProbes({
      kernel, probes: [reads, nfs], refusals: [], privileged: true, readModule: () => found,
      moduleIdentity: () => 1,
    })
    const late = openBoth()
    const waiting = { probe: 'store_read_nfs', state: 'waiting', lost: '' }
    expect(late.states[1]).toMatchObject({ ...waiting, reason: 'there is no data store on this node' })
    expect(late.setStores(true)[1]).toMatchObject({ ...waiting, reason: 'the kernel module nfs is not loaded' })
    found = 'loaded'
    expect(late.look()).toMatchObject([{ probe: 'store_read_nfs', state: 'attached' }])
    expect([...kernel.attached]).toEqual(['read_fexit', 'nfs_kretprobe'])
    expect(late.setStores(false)).toMatchObject([{ probe: 'store_read', state: 'waiting' }, waiting])
    expect([...kernel.attached]).toEqual([])
    kernel.refused = { load: 'read_fexit' }
    const without = openBoth()
    expect(without.setStores(true)[1]).toMatchObject({ ...waiting, reason: 'store_read sees this itself in its way' })
    expect([...kernel.attached]).toEqual(['read_exit', 'read_ring'])
  })
})
