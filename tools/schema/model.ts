// Reads proto/event.proto into the model that all writers in this folder share.
import protobuf from 'protobufjs'
import path from 'node:path'

/** How a field lies in a batch: one little-endian fixed-width value per event. */
export type ColumnType = 'u8' | 'u16' | 'u32' | 'u64' | 'address' | 'string'

/** How a field looks in TypeScript. */
export type ValueType = 'number' | 'bigint' | 'boolean' | 'string' | 'list' | 'address' | 'enum'

export interface KernelType {
  /** C element type: u8, u16, u32, u64 or char. */
  element: 'u8' | 'u16' | 'u32' | 'u64' | 'char'
  /** Elements; 1 for a plain value. */
  count: number
  /** Bytes of the whole field. */
  bytes: number
  /** Offset in the record, header included. Set by layout(). */
  offset: number
}

export interface Field {
  name: string
  number: number
  doc: string
  column: ColumnType
  value: ValueType
  enumName?: string
  kernel?: KernelType
}

export interface Message {
  name: string
  doc: string
  fields: Field[]
}

export interface Kind extends Message {
  /** snake_case name, as in the oneof. */
  kind: string
  number: number
  dropClass: 'low' | 'normal' | 'critical'
  /** Bytes of the kernel record, 0 for kinds made in user space. */
  recordBytes: number
  fromKernel: boolean
}

export interface EnumModel {
  name: string
  doc: string
  values: { name: string; symbol: string; number: number; doc: string }[]
}

export interface Schema {
  header: Message
  headerBytes: number
  process: Message
  kinds: Kind[]
  enums: EnumModel[]
}

const elementBytes = { u8: 1, u16: 2, u32: 4, u64: 8, char: 1 } as const

/** Loads `event.proto` under `protoDir`. Throws with message and field name on what cannot be laid out. */
export function loadSchema(protoDir: string): Schema {
  const root = new protobuf.Root()
  // protobufjs ships descriptor.proto but does not find it by its import path.
  root.resolvePath = (origin, target) =>
    target.startsWith('google/')
      ? path.join(import.meta.dirname, '../../node_modules/protobufjs', target)
      : path.resolve(path.dirname(origin), target)
  root.loadSync(path.join(protoDir, 'event.proto'), {
    keepCase: true,
    alternateCommentMode: true,
    preferTrailingComment: false,
  })
  root.resolveAll()
  const packageRoot = root.lookup('vedette') as protobuf.Namespace
  const event = packageRoot.lookupType('Event')
  const header = messageOf(packageRoot.lookupType('RecordHeader'))
  const headerBytes = layout(header, 0)
  const kinds = event.oneofs['kind'].fieldsArray.map((field) => {
    field.resolve()
    return kindOf(field, field.resolvedType as protobuf.Type, headerBytes)
  })
  kinds.sort((a, b) => a.number - b.number)
  const enums = packageRoot.nestedArray.filter((one) => one instanceof protobuf.Enum).map(enumOf)
  return { header, headerBytes, process: messageOf(packageRoot.lookupType('Process')), kinds, enums }
}

function kindOf(field: protobuf.Field, type: protobuf.Type, headerBytes: number): Kind {
  const message = messageOf(type)
  const fromKernel = message.fields.some((one) => one.kernel !== undefined)
  if (field.id < 10 || field.id > 255) {
    throw new Error(`${field.name}: kind number ${field.id} is not in 10..255`)
  }
  return {
    ...message,
    kind: field.name,
    number: field.id,
    dropClass: (option(type, 'drop_class') ?? 'normal') as Kind['dropClass'],
    fromKernel,
    recordBytes: fromKernel ? layout(message, headerBytes) : 0,
  }
}

function option(object: protobuf.ReflectionObject, name: string): string | undefined {
  const options = object.options ?? {}
  return options[`(${name})`] ?? options[`(vedette.${name})`]
}

function messageOf(type: protobuf.Type): Message {
  return { name: type.name, doc: type.comment ?? '', fields: type.fieldsArray.map(fieldOf) }
}

function fieldOf(field: protobuf.Field): Field {
  field.resolve()
  const where = `${field.parent?.name}.${field.name}`
  const kernel = option(field, 'kernel')
  const parsed = kernel === undefined ? undefined : parseKernelType(kernel, where)
  const base = { name: field.name, number: field.id, doc: field.comment ?? '', kernel: parsed }
  if (!field.comment) throw new Error(`${where}: no comment; every field says what it is`)
  if (field.resolvedType instanceof protobuf.Enum) {
    return { ...base, column: 'u8', value: 'enum', enumName: field.resolvedType.name }
  }
  if (field.repeated && field.type !== 'string') throw new Error(`${where}: only strings repeat`)
  switch (field.type) {
    case 'bool': return { ...base, column: 'u8', value: 'boolean' }
    case 'string':
      return { ...base, column: 'string', value: field.repeated ? 'list' : 'string' }
    case 'uint32': {
      const element = parsed?.element ?? 'u32'
      return { ...base, column: element === 'char' ? 'u8' : element, value: 'number' }
    }
    case 'uint64': return { ...base, column: 'u64', value: 'number' }
    case 'fixed64': return { ...base, column: 'u64', value: 'bigint' }
    case 'bytes':
      if (!field.name.endsWith('_addr') || (parsed && parsed.bytes !== 16)) {
        throw new Error(`${where}: bytes fields are addresses of 16 bytes named *_addr`)
      }
      return { ...base, column: 'address', value: 'address' }
    default: throw new Error(`${where}: type ${field.type} has no column`)
  }
}

function parseKernelType(text: string, where: string): KernelType {
  const match = /^(u8|u16|u32|u64|char)(?:\[(\d+)\])?$/.exec(text)
  if (!match) throw new Error(`${where}: kernel type "${text}" is none of u8 u16 u32 u64 char[N] u8[N]`)
  const element = match[1] as KernelType['element']
  const count = match[2] === undefined ? 1 : Number(match[2])
  return { element, count, bytes: elementBytes[element] * count, offset: -1 }
}

/** Sets offsets, refuses what C would pad by itself, gives the size rounded up to 8. */
function layout(message: Message, start: number): number {
  let offset = start
  for (const field of message.fields) {
    if (!field.kernel) continue
    const align = elementBytes[field.kernel.element]
    // Address arrays are read as 32-bit words in TypeScript.
    const wanted = field.column === 'address' ? 4 : align
    if (offset % wanted !== 0) {
      throw new Error(`${message.name}.${field.name}: at offset ${offset}, put wider fields first`)
    }
    field.kernel.offset = offset
    offset += field.kernel.bytes
  }
  return Math.ceil(offset / 8) * 8
}

function enumOf(type: protobuf.Enum): EnumModel {
  const prefix = type.name.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase() + '_'
  const values = Object.entries(type.values).map(([symbol, number]) => ({
    symbol,
    number,
    name: symbol.slice(prefix.length).toLowerCase(),
    doc: type.comments[symbol] ?? '',
  }))
  return { name: type.name, doc: type.comment ?? '', values }
}

/** `ConnectionOpen` from `connection_open`. */
export function pascal(name: string): string {
  return name.split('_').map((part) => part[0].toUpperCase() + part.slice(1)).join('')
}

/** `connectionOpen` from `connection_open`. */
export function camel(name: string): string {
  const text = pascal(name)
  return text[0].toLowerCase() + text.slice(1)
}

/** A comment as lines with a prefix. */
export function commentLines(doc: string, prefix: string): string[] {
  return doc.split('\n').map((line) => `${prefix}${line}`.trimEnd())
}
