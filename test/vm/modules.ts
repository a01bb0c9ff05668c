import { VmError } from './errors.ts'

/** Module name → path below lib/modules/RELEASE, and the paths it needs loaded before it. */
export type ModuleTable = Map<string, { path: string, needs: string[] }>

/** `kernel/fs/9p/9p.ko.xz` → `9p`. The kernel treats `-` and `_` in a name as the same. */
export function moduleName(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1)
  return file.replace(/\.ko(\.(xz|zst|gz))?$/, '').replaceAll('-', '_')
}

/**
 * Reads the text of a `modules.dep` file (format: depmod(8)), lines `path: path path …`.
 * Blank lines and lines without a colon are passed over, as modprobe does.
 */
export function parseModulesDep(text: string): ModuleTable {
  const table: ModuleTable = new Map()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon <= 0) continue
    const path = line.slice(0, colon).trim()
    const needs = line.slice(colon + 1).trim().split(/\s+/).filter((word) => word !== '')
    table.set(moduleName(path), { path, needs })
  }
  return table
}

/** Reads the text of a `modules.builtin` file: one path a line → the names. */
export function parseModulesBuiltin(text: string): Set<string> {
  return new Set(text.split('\n').filter((line) => line !== '').map(moduleName))
}

/**
 * The files to load, each after everything it needs, each once. Names that are built into the
 * kernel need no file. Throws VmError `module_missing` for a name the kernel does not know, and
 * for a table that refers to a module it does not list or goes in a circle.
 */
export function loadOrder(
  wanted: readonly string[],
  table: ModuleTable,
  builtin: ReadonlySet<string>,
): string[] {
  const order = new Set<string>()
  const open = new Set<string>()
  const visit = (name: string, askedBy: string): void => {
    const entry = table.get(name)
    if (entry === undefined) {
      if (builtin.has(name)) return
      throw new VmError('module_missing',
        `kernel module ${name} (asked for by ${askedBy}) is neither in modules.dep nor built in; `
        + 'remove build/vm/kernels to fetch the kernel again')
    }
    if (order.has(entry.path)) return
    if (open.has(name)) {
      throw new VmError('module_missing', `modules.dep goes in a circle at ${name} (${askedBy}); `
        + 'remove build/vm/kernels to fetch the kernel again')
    }
    open.add(name)
    for (const path of entry.needs) visit(moduleName(path), name)
    open.delete(name)
    order.add(entry.path)
  }
  for (const name of wanted) visit(name.replaceAll('-', '_'), 'the rig')
  return [...order]
}
