// The part of proto/gen/events.ts that lists all kinds: names, facts, columns and views by kind.
import type { Kind, Schema } from './model.ts'

export function writeTables(schema: Schema): string[] {
  const { kinds } = schema
  const kernelKinds = kinds.filter((kind) => kind.fromKernel)
  return [
    `export type EventKind = ${union(kinds)}`,
    '',
    '/** Values of each kind by its name. */',
    'export interface EventValues {',
    ...kinds.map((kind) => `  ${kind.kind}: ${kind.name}`),
    '}',
    '',
    '/** The view of each kind by its name. */',
    'export interface EventViews {',
    ...kinds.map((kind) => `  ${kind.kind}: ${kind.name}View`),
    '}',
    '',
    `export type KernelKind = ${union(kernelKinds)}`,
    '',
    ...kindInfos(kinds),
    '',
    ...recordOffsets(kernelKinds),
    '',
    ...byKind(kinds),
    '',
    ...appendRecord(kernelKinds),
  ]
}

function union(kinds: Kind[]): string {
  return kinds.map((kind) => `'${kind.kind}'`).join(' | ')
}

function kindInfos(kinds: Kind[]): string[] {
  return [
    '/** What is known of a kind without an event of it. */',
    'export interface KindInfo {',
    '  kind: EventKind',
    '  number: number',
    '  dropClass: \'low\' | \'normal\' | \'critical\'',
    '  /** Bytes of the kernel record; 0 for kinds made in user space. */',
    '  recordBytes: number',
    '  /** Field names, in the order of the schema. */',
    '  fields: readonly string[]',
    '}',
    '',
    '/** Every kind, by ascending number. */',
    'export const kindInfos: readonly KindInfo[] = [',
    ...kinds.flatMap((kind) => [
      '  {',
      `    kind: '${kind.kind}', number: ${kind.number}, dropClass: '${kind.dropClass}',`,
      `    recordBytes: ${kind.recordBytes},`,
      `    fields: [${kind.fields.map((field) => `'${field.name}'`).join(', ')}],`,
      '  },',
    ]),
    ']',
  ]
}

function recordOffsets(kernelKinds: Kind[]): string[] {
  return [
    '/** Where each field stands in the record of its kind, bytes. */',
    'export const recordOffsets = {',
    ...kernelKinds.flatMap((kind) => [
      `  ${kind.kind}: {`,
      ...kind.fields.filter((field) => field.kernel)
        .map((field) => `    ${field.name}: ${field.kernel!.offset},`),
      '  },',
    ]),
    '} as const',
  ]
}

function byKind(kinds: Kind[]): string[] {
  return [
    '/** Empty columns for every kind. */',
    'export function newColumns() {',
    '  return {',
    ...kinds.map((kind) => `    ${kind.kind}: new ${kind.name}Columns(),`),
    '  }',
    '}',
    '',
    'export type ColumnsByKind = ReturnType<typeof newColumns>',
    '',
    '/** A view for every kind. */',
    'export function newViews(): EventViews {',
    '  return {',
    ...kinds.map((kind) => `    ${kind.kind}: new ${kind.name}View(),`),
    '  }',
    '}',
    '',
    'type Decode = (from: Partial<ColumnMessage>, rows: number) => unknown',
    '',
    '/** Reads the columns of one kind. Throws RangeError when a column has a wrong length. */',
    'export const decodeColumns: Record<EventKind, Decode> = {',
    ...kinds.map((kind) => `  ${kind.kind}: ${kind.name}Columns.decode,`),
    '}',
  ]
}

function appendRecord(kernelKinds: Kind[]): string[] {
  return [
    '/** Adds the record at `at`. One case per kind the kernel makes. */',
    'export function appendRecord(',
    '  columns: ColumnsByKind, kind: number, record: RecordBuffer, at: number,',
    '  process: number, strings: StringTable,',
    '): void {',
    '  switch (kind) {',
    ...kernelKinds.flatMap((kind) => [
      `    case ${kind.number}:`,
      `      return columns.${kind.kind}.appendRecord(record, at, process, strings)`,
    ]),
    '    default: throw new RangeError(`kind ${kind} is not made in the kernel`)',
    '  }',
    '}',
  ]
}
