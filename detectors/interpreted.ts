/** What an interpreter was told to run, from its arguments. */
import type { LineageProcess } from '../detect/lineage.ts'
import { programOf } from './actor.ts'

/** `code`: a text from the command line, or '' from standard input; else a module or a file. */
export type Interpreted = { kind: 'code' | 'module' | 'file', text: string }

/** Letters of the options of an interpreter, by what follows them. */
interface Options { code: string, module: string, value: string }

const optionsOf: Readonly<Record<string, Options>> = {
  python: { code: 'c', module: 'm', value: 'WXQ' },
  pypy: { code: 'c', module: 'm', value: 'WXQ' },
  perl: { code: 'eE', module: '', value: '' },
  ruby: { code: 'e', module: '', value: 'rIC' },
  node: { code: 'ep', module: '', value: 'rC' },
  nodejs: { code: 'ep', module: '', value: 'rC' },
  bun: { code: 'ep', module: '', value: 'r' },
  php: { code: 'r', module: '', value: 'cd' },
  lua: { code: 'e', module: '', value: 'l' },
  luajit: { code: 'e', module: '', value: 'l' },
}
const codeWords = new Set(['--eval', '--print'])

/**
 * Null for what is no interpreter of scripts, or whose arguments are not known. Options of the
 * script itself, behind its name, are not looked at.
 */
export function interpretedOf({ exe, comm, args }: LineageProcess): Interpreted | null {
  const options = optionsOf[programOf(exe || comm)]
  if (options === undefined || args === '') return null
  const words = args.split('\0').slice(1)
  for (let i = 0; i < words.length; i++) {
    const word = words[i]
    if (codeWords.has(word)) return { kind: 'code', text: words[i + 1] ?? '' }
    if (word === '--') return fileOf(words[i + 1])
    if (word === '-') return { kind: 'code', text: '' }
    if (!word.startsWith('-')) return fileOf(word)
    if (word.startsWith('--')) continue
    for (let at = 1; at < word.length; at++) {
      const behind = word.slice(at + 1) || (words[i + 1] ?? '')
      if (options.code.includes(word[at])) return { kind: 'code', text: behind }
      if (options.module.includes(word[at])) return { kind: 'module', text: behind }
      if (!options.value.includes(word[at])) continue
      if (at === word.length - 1) i++
      break
    }
  }
  return { kind: 'code', text: '' }
}

function fileOf(word: string | undefined): Interpreted {
  return word === undefined ? { kind: 'code', text: '' } : { kind: 'file', text: word }
}
