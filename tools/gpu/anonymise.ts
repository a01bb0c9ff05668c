// Takes out of recordings what names one machine: serial numbers, UUIDs, host names. The same one
// becomes the same stand-in everywhere, so that what belongs together still does.

/** Replaces in texts; remembers what became what. */
export class Anonymiser {
  readonly #names = new Map<string, string>()
  readonly #counts = new Map<string, number>()
  #pattern: RegExp | undefined

  /** A serial number, host name or the like, which is replaced wherever it stands. */
  add(secret: string, kind: 'serial' | 'host' | 'id'): void {
    const text = secret.trim()
    // Shorter ones would be found in other words; they name nothing by themselves.
    if (text.length < 4 || /^(n\/a|0+|none|unknown|localhost)$/i.test(text)) return
    if (this.#names.has(text)) return
    this.#names.set(text, this.#standIn(text, kind))
    this.#pattern = undefined
  }

  /** The serial numbers in an answer of `nvidia-smi -q -x`. */
  addFrom(xml: string): void {
    for (const match of xml.matchAll(/<(\w*serial\w*)>([^<]+)<\/\1>/g)) this.add(match[2], 'serial')
  }

  /** The text without them. Processes that run on the GPUs are left out. */
  clean(text: string): string {
    const uuids = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi
    for (const [uuid] of text.matchAll(uuids)) {
      this.add(uuid, 'id')
      this.add(uuid.replaceAll('-', ''), 'id')
    }
    return text.replace(/<(processes|accounted_processes)>[\s\S]*?<\/\1>/g, '<$1></$1>')
      .replace(this.#compiled(), (found) => this.#names.get(found)!)
  }

  #compiled(): RegExp {
    const longest = [...this.#names.keys()].sort((a, b) => b.length - a.length)
    const escaped = longest.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    // Nothing matches when there is nothing to replace.
    return this.#pattern ??= new RegExp(escaped.join('|') || '(?!)', 'g')
  }

  /** Of the same length and shape: 0 for each digit and letter, a number at the end. */
  #standIn(text: string, kind: string): string {
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    if (kind === 'host') return `node${count}`
    const zeros = text.replace(/[0-9a-z]/gi, '0')
    const number = String(count)
    return zeros.slice(0, zeros.length - number.length) + number
  }
}
