// The schema is written once; everything made from it must agree: generated files, and the layout
// that the compiler gave the records of the probes.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')

describe('generated files', () => {
  it.each([
    ['tools/gen-schema.ts', 'proto/event.proto'], ['tools/gen-docs.ts', 'the detectors'],
  ])('are what %s makes of %s', (tool) => {
    const result = spawnSync(process.execPath, [tool, '--check'], {
      cwd: root, encoding: 'utf8',
    })
    expect(result.stderr + result.stdout).toBe('')
    expect(result.status).toBe(0)
  })
})

interface BtfType {
  id: number
  kind: string
  name: string
  size?: number
  type_id?: number
  nr_elems?: number
  members?: { name: string, type_id: number, bits_offset: number }[]
}

interface LockedKind {
  record_bytes: number
  fields: Record<string, { kernel?: string, offset?: number }>
}

/** As in proto/lock.json, 'u64[1]' or 'char[16]', for a type of the BTF. */
function spell(types: Map<number, BtfType>, id: number): string {
  const type = types.get(id)!
  if (type.kind === 'TYPEDEF' && /^u(8|16|32|64)$/.test(type.name)) return `${type.name}[1]`
  if (type.kind === 'INT' && type.name === 'char') return 'char[1]'
  if (type.kind !== 'ARRAY') return `${type.kind} ${type.name}`
  return spell(types, type.type_id!).replace('[1]', `[${type.nr_elems}]`)
}

/** The linked object of this machine, as the build left it. */
function builtObject(): string {
  return join(root, 'build/native/bpf/vedette.bpf.o')
}

/** Compiles and links the probes for arm64 into a folder; nothing of it can be loaded here. */
function crossCompile(folder: string): string {
  const probes = readdirSync(join(root, 'bpf/probes'))
  const objects = probes.map((probe) => {
    const object = join(folder, probe.replace(/c$/, 'o'))
    execFileSync('clang', ['-O2', '-g', '-target', 'bpf', '-D__TARGET_ARCH_arm64', '-std=gnu11',
      '-Wall', '-Werror', '-Ibpf/gen', '-Ibpf/lib', '-Ibpf/lib/network', '-c', join('bpf/probes', probe),
      '-o', object], { cwd: root })
    return object
  })
  const linked = join(folder, 'vedette.bpf.o')
  execFileSync('bpftool', ['gen', 'object', linked, ...objects])
  return linked
}

describe.each(['this machine', 'arm64'])('records in the object for %s', (machine) => {
  const folder = mkdtempSync(join(tmpdir(), 'vedette-schema-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const object = machine === 'arm64' ? crossCompile(folder) : builtObject()
  const dump = existsSync(object)
    ? execFileSync('bpftool', ['--json', 'btf', 'dump', 'file', object], { encoding: 'utf8' })
    : '{"types":[]}'
  const types = new Map((JSON.parse(dump).types as BtfType[]).map((type) => [type.id, type]))
  const lock = JSON.parse(readFileSync(join(root, 'proto/lock.json'), 'utf8'))
  const kinds = Object.entries(lock.kinds as Record<string, LockedKind>)
    .filter(([, kind]) => kind.record_bytes > 0)

  it('exist', () => {
    expect(existsSync(object), `${object} is missing: npm run build`).toBe(true)
    expect(kinds.length).toBeGreaterThan(5)
  })

  it.each(kinds)('%s lies as it was released', (name, kind) => {
    const struct = [...types.values()].find((type) => type.kind === 'STRUCT' && type.name === name)
    const compiled = (struct?.members ?? [])
      .filter((member) => member.name !== 'header' && member.name !== '_pad')
      .map((member) => [member.name, member.bits_offset / 8, spell(types, member.type_id)])
    const released = Object.entries(kind.fields)
      .filter(([, field]) => field.kernel !== undefined)
      .map(([field, { offset, kernel }]) => [field, offset, kernel])
    expect(struct?.size).toBe(kind.record_bytes)
    expect(compiled).toEqual(released)
  })
})
