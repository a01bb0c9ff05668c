// The rules of STYLE.md and ARCHITECTURE.md that a machine can hold.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const root = path.join(import.meta.dirname, '..')
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root })
  .toString().split('\n').filter((file) => file !== '' && fs.existsSync(path.join(root, file)))
const read = (file: string) => fs.readFileSync(path.join(root, file), 'utf8')
const generated = (file: string) => /(^|\/)gen\//.test(file)
const isTest = (file: string) => /\.(test|fuzz)\.ts$/.test(file) || file.startsWith('test/')
const typescript = tracked.filter((file) => file.endsWith('.ts'))
const code = tracked.filter((file) => /\.(ts|c|h|cc|sh)$/.test(file) && !generated(file))

/** What each folder may import of ours. A folder that is not here is not part of the product. */
const mayImport: Record<string, string[]> = {
  proto: [], log: [], native: [], kubernetes: [], gpu: [], stores: [],
  policy: ['proto', 'stores'],
  agent: ['gpu', 'native', 'proto', 'log', 'policy', 'kubernetes', 'stores'],
  detect: ['gpu', 'proto', 'policy', 'stores'],
  detectors: ['detect', 'gpu', 'policy', 'proto', 'stores'],
  correlator: ['detect', 'detectors', 'gpu', 'kubernetes', 'log', 'policy', 'proto', 'stores'],
  cli: ['agent', 'correlator', 'detect', 'detectors', 'drills', 'gpu', 'log', 'native', 'policy', 'proto',
    'stores'],
  drills: ['agent', 'detect', 'native', 'policy', 'proto'],
}

interface Import { from: string; to: string }

function importsOf(file: string): Import[] {
  const found = [...read(file).matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)]
  return found.map((match) => ({ from: file, to: path.join(path.dirname(file), match[1]) }))
}
const imports = typescript.flatMap(importsOf)
const topOf = (file: string) => file.split('/')[0]

describe('the tree', () => {
  it('has what the design asks for at the top', () => {
    const wanted = ['agent', 'native', 'bpf', 'proto', 'test', 'Dockerfile', 'package.json', 'binding.gyp',
      'README.md', 'ARCHITECTURE.md', 'STYLE.md', 'CHANGELOG.md', 'LICENSE', '.ci/run']
    const missing = wanted.filter((name) => !tracked.some((file) => file === name || file.startsWith(`${name}/`)))
    expect(missing).toEqual([])
  })

  it('imports only along the path of the data', () => {
    const wrong = imports.filter(({ from, to }) => {
      const [source, target] = [topOf(from), topOf(to)]
      return source !== target && mayImport[source] !== undefined && !isTest(from)
        && !mayImport[source].includes(target)
    })
    expect(wrong).toEqual([])
  })

  it('never lets agent and correlator import each other, in tests neither', () => {
    const wrong = imports.filter(({ from, to }) =>
      [topOf(from), topOf(to)].sort().join() === 'agent,correlator')
    expect(wrong).toEqual([])
  })

  it('has no file or folder whose name says nothing', () => {
    const empty = /(^|\/)(utils?|helpers?|common|shared|core|misc|index)(\.[a-z.]+)?(\/|$)/
    const allowed = ['native/index.ts', 'native/index.test.ts', 'detectors/index.ts']
    expect(tracked.filter((file) => empty.test(file) && !allowed.includes(file))).toEqual([])
  })

  it('names files as the language of the file does', () => {
    const wrong = tracked.filter((file) => {
      const name = path.basename(file)
      if (generated(file)) return false
      if (name.endsWith('.ts')) return !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*\.ts$/.test(name)
      if (/\.(c|h)$/.test(name)) return !/^[a-z0-9]+(_[a-z0-9]+)*(\.bpf)?\.[ch]$/.test(name)
      return false
    })
    expect(wrong).toEqual([])
  })

  it('keeps folders small enough to read', () => {
    const catalogues = ['detectors', 'detectors/gpu', 'detectors/stores', 'bpf/probes', 'docs/decisions',
      'docs/runbooks', 'cli', 'drills', 'bench']
    const entries = new Map<string, Set<string>>()
    for (const file of tracked) {
      if (isTest(file)) continue
      const parts = file.split('/')
      for (let depth = 1; depth < parts.length; depth++) {
        const folder = parts.slice(0, depth).join('/')
        entries.set(folder, (entries.get(folder) ?? new Set()).add(parts[depth]))
      }
    }
    const crowded = [...entries].filter(([folder, names]) => names.size > 18 && !catalogues.includes(folder))
    expect(crowded.map(([folder, names]) => `${folder}: ${names.size}`)).toEqual([])
  })

  it('has no TypeScript file that nothing uses', () => {
    const used = new Set(imports.map(({ to }) => to))
    const started = tracked.filter((file) => /(\.(json|sh|js|gyp|md|ts|txt|yaml)|Dockerfile|run)$/.test(file))
      .map(read).join('\n')
    const unused = typescript.filter((file) =>
      !used.has(file) && !/\.test\.ts$/.test(file) && !file.endsWith('.config.ts') && !started.includes(file)
      && !started.includes(path.basename(file)))
    expect(unused).toEqual([])
  })
})

/** Tests spell out data, and the generator spells out lines of other files: a fifth more room. */
const columnsMax = (file: string) => isTest(file) || file.startsWith('tools/schema/') ? 120 : 100

describe('the image', () => {
  it('gets every folder of the product, and so does its builder', () => {
    const folders = Object.keys(mayImport)
    const laidOut = /^CODE='(.*)'$/m.exec(read('deploy/image/assemble.sh'))?.[1].split(' ')
    expect(laidOut).toEqual(folders.toSorted())
    const sent = read('.dockerignore').split('\n').map((line) => line.replace(/^!/, ''))
    expect(folders.filter((folder) => !sent.includes(folder))).toEqual([])
  })
})

describe('the code', () => {
  it('stays within 100 columns', () => {
    const long = code.flatMap((file) => read(file).split('\n').flatMap((line, i) =>
      [...line.replaceAll('\t', '    ')].length > columnsMax(file) ? [`${file}:${i + 1}`] : []))
    expect(long).toEqual([])
  })

  it('keeps files within 400 lines', () => {
    const fat = code.filter((file) => !/\.test\.ts$/.test(file) && read(file).split('\n').length > 400)
    expect(fat).toEqual([])
  })

  it('keeps functions within 70 lines', () => {
    const fat = typescript.filter((file) => !generated(file) && !isTest(file)).flatMap(longFunctions)
    expect(fat).toEqual([])
  })

  it('exports at most seven values per file', () => {
    const wide = typescript.filter((file) => !generated(file) && !isTest(file)).filter((file) =>
      [...read(file).matchAll(/^export (async function|function|const|class)/gm)].length > 7)
    expect(wide.filter((file) => file !== 'proto/columns.ts')).toEqual([])
  })

  it('keeps clocks, randomness, the environment and output out of the pure folders', () => {
    const pure = new RegExp(['^(detect|detectors|gpu|policy|proto|stores)/', '^agent/(decode|enrich/workload)\\.ts$',
      '^log/(segment|frame|chain)\\.ts$'].join('|'))
    const effect = new RegExp(['\\bDate\\.now\\(', '\\bnew Date\\(\\)', '\\bMath\\.random\\(',
      '\\bprocess\\.(env|hrtime)', '\\bperformance\\.now', '\\bconsole\\.',
      "from 'node:(fs|net|http|child_process)'"].join('|'))
    const wrong = typescript.filter((file) => pure.test(file) && !isTest(file) && !generated(file))
      .flatMap((file) => read(file).split('\n').flatMap((line, i) => {
        const hit = effect.exec(line)
        // Parsing an address is pure, though node keeps it in a module of effects.
        if (!hit || /import \{ (isIP|isIPv4|isIPv6)(, (isIP|isIPv4|isIPv6))* \} from 'node:net'/.test(line)) return []
        return [`${file}:${i + 1}: ${hit[0]}`]
      }))
    expect(wrong).toEqual([])
  })

  it('has no leftover marker, no narrowed test and no any', () => {
    const marker = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK'].join('|')})\\b`)
    const narrowed = /\b(it|test|describe)\.(only|todo)\b/
    const loose = /(: any\b|\bas any\b|<any>|@ts-ignore|@ts-nocheck)/
    const wrong = code.flatMap((file) => read(file).split('\n').flatMap((line, i) => {
      const hit = marker.exec(line) ?? narrowed.exec(line) ?? (file.endsWith('.ts') ? loose.exec(line) : null)
      return hit && !file.startsWith('test/tidy') ? [`${file}:${i + 1}: ${hit[0]}`] : []
    }))
    expect(wrong).toEqual([])
  })

  it('says who may use it: kernel code is dual licensed', () => {
    const wrong = tracked.filter((file) => /^bpf\/.*\.[ch]$/.test(file)
      && !read(file).includes('SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)'))
    expect(wrong).toEqual([])
  })
})

/** Functions and methods longer than 70 lines, found by their indentation. */
function longFunctions(file: string): string[] {
  const lines = read(file).split('\n')
  const words = '(static |private |protected |override |get |set |async |\\*)*'
  const start = new RegExp(`^( *)(export )?(default )?(async )?(function\\*? \\w+|${words}[\\w#]+ ?\\()`)
  return lines.flatMap((line, i) => {
    const indent = start.exec(line)?.[1]
    const statement = /^\s*(if|for|while|switch|return|catch|describe|it|test)\b/
    if (indent === undefined || !/[{(,]$/.test(line) || statement.test(line)) return []
    const end = lines.findIndex((other, j) => j > i && /^\s*\S/.test(other)
      && other.length - other.trimStart().length <= indent.length && other.trimStart().startsWith('}'))
    return end - i > 70 ? [`${file}:${i + 1}: ${end - i} lines`] : []
  })
}

describe('the documents', () => {
  it('give every decision a status and a date', () => {
    const wrong = tracked.filter((file) => /^docs\/decisions\/\d{4}-.*\.md$/.test(file))
      .filter((file) => !/^Status: (accepted|superseded by \d{4}), \d{4}-\d\d-\d\d$/m.test(read(file)))
    expect(wrong).toEqual([])
  })

  it('link only to files that are there', () => {
    const broken = tracked.filter((file) => file.endsWith('.md')).flatMap((file) =>
      [...read(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)]
        .map((match) => path.join(path.dirname(file), match[1]))
        .filter((target) => !fs.existsSync(path.join(root, target)))
        .map((target) => `${file} → ${target}`))
    expect(broken).toEqual([])
  })

  it('tell the person who is paged what to do: a runbook per detector and per rule', () => {
    const ids = [...read('docs/detectors.md').matchAll(/^## ([A-Z]{3}-\d{3})$/gm)].map((match) => match[1])
    expect(ids.length).toBeGreaterThan(0)
    expect(ids.filter((id) => !tracked.includes(`docs/runbooks/${id}.md`))).toEqual([])
    const rules = [...read('deploy/prometheus/vedette.rules.yaml').matchAll(/- alert: (\w+)/g)]
    const page = read('docs/runbooks/monitor.md')
    expect(rules.map((match) => match[1]).filter((name) => !page.includes(name))).toEqual([])
  })

  it('name for every invariant the test that holds it, and the test is there', () => {
    const rows = [...read('docs/invariants.md').matchAll(/^\| (I-\d\d) \|.*\|([^|]*)\|$/gm)]
    expect(rows.map((row) => row[1])).toEqual(
      Array.from({ length: 10 }, (_, i) => `I-${String(i + 1).padStart(2, '0')}`))
    const missing = rows.flatMap((row) => [...row[2].matchAll(/`([^`]+\.ts)`/g)].map((match) => match[1]))
      .filter((file) => !tracked.includes(file))
    expect(missing).toEqual([])
  })
})
