// `node tools/record-gpu.ts --out DIR`: records what a real GPU machine says of itself, for tests:
// /proc/driver/nvidia*, what sysfs says of modules and GPUs, every answer of NVML, `nvidia-smi -q
// -x`, and, where strace is installed, the ioctls of nvidia-smi. Serial numbers, UUIDs and the host
// name are replaced. Then it checks that our reading of NVML says what nvidia-smi says: exit 1 if
// not. It sets nothing.

import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { itemsOfNvml } from '../gpu/state/nvml-items.ts'
import { Nvml } from '../native/gpu.ts'
import type { NvmlAnswer } from '../native/gpu.ts'
import { Anonymiser } from './gpu/anonymise.ts'
import { compareWithSmi } from './gpu/compare.ts'

const trees = ['/proc/driver/nvidia', '/proc/driver/nvidia-caps', '/proc/driver/nvidia-nvswitch',
  '/proc/driver/nvidia-nvlink', '/proc/driver/nvidia-fs']
const moduleFiles = ['version', 'srcversion', 'taint']
const pciFiles = ['vendor', 'device', 'subsystem_vendor', 'subsystem_device', 'class',
  'numa_node', 'driver_override', 'sriov_numvfs']
const filesMax = 2000
const answerMs = 120_000

const { values } = parseArgs({
  options: { out: { type: 'string' }, library: { type: 'string', default: 'libnvidia-ml.so.1' } },
})

function fail(message: string): never {
  process.stderr.write(`record-gpu: ${message}\n`)
  process.exit(2)
}

/** Files below a folder; links are not followed. */
function filesBelow(path: string): string[] {
  try {
    const found = lstatSync(path)
    if (found.isFile()) return [path]
    if (!found.isDirectory()) return []
    return readdirSync(path).sort().flatMap((name) => filesBelow(join(path, name)))
      .slice(0, filesMax)
  } catch {
    return []
  }
}

function sysfsFiles(): string[] {
  const names = (folder: string): string[] => {
    try {
      return readdirSync(folder).map((name) => join(folder, name))
    } catch {
      return []
    }
  }
  const modules = names('/sys/module').filter((path) => /\/(nvidia\w*|gdrdrv)$/.test(path))
  const gpus = names('/sys/bus/pci/devices').filter((path) => textOf(`${path}/vendor`) === '0x10de')
  return [
    ...modules.flatMap((path) => [...moduleFiles.map((name) => `${path}/${name}`),
      ...names(`${path}/parameters`)]),
    ...gpus.flatMap((path) => pciFiles.map((name) => `${path}/${name}`)),
  ]
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

async function askNvml(library: string): Promise<NvmlAnswer> {
  const nvml = new Nvml()
  nvml.begin({ library, slow: true })
  for (let waitedMs = 0; waitedMs < answerMs; waitedMs += 50) {
    const answer = nvml.take()
    if (answer) return answer
    await sleep(50)
  }
  return fail(`NVML does not answer: ${nvml.calling}`)
}

/** What a program says; undefined when it is not there or fails. */
function run(program: string, ...args: string[]): string | undefined {
  try {
    const options = { encoding: 'utf8', timeout: answerMs, maxBuffer: 64 * 1024 * 1024 } as const
    return execFileSync(program, args, { ...options, stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
}

/** The ioctls of nvidia-smi, as strace tells them; undefined without strace. */
function traceCalls(): string | undefined {
  const file = join(tmpdir(), `vedette-strace-${process.pid}`)
  const said = run('strace', '-f', '-X', 'raw', '-e', 'trace=openat,ioctl', '-o', file,
    'nvidia-smi', '-q')
  return said === undefined ? undefined : textOf(file)
}

const { out, library } = values
if (out === undefined) fail('say where: --out DIR')
const answer = await askNvml(library)
if (answer.failed !== '') fail(`NVML cannot be read: ${answer.failed} ${answer.detail}`)
const smi = run('nvidia-smi', '-q', '-x')
if (smi === undefined) fail('nvidia-smi -q -x gives no answer')

const cleaner = new Anonymiser()
cleaner.add(hostname(), 'host')
cleaner.addFrom(smi)
for (const { item, value } of answer.facts) {
  if (item === 'serial') cleaner.add(value, 'serial')
  if (item === 'fabric_cluster_uuid') cleaner.add(value, 'id')
}

let files = 0
function store(path: string, text: string): void {
  const file = join(out!, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, cleaner.clean(text))
  files++
}

store('nvidia-smi.xml', smi)
store('nvml.json', `${JSON.stringify(answer.facts, undefined, 1)}\n`)
for (const path of [...trees.flatMap(filesBelow), ...sysfsFiles()]) {
  const text = textOf(path)
  if (text !== '') store(join('root', path), `${text}\n`)
}
const trace = traceCalls()
if (trace !== undefined) store('nvidia-smi.strace', trace)

const { items } = itemsOfNvml(answer.facts, () => ({}))
const compared = compareWithSmi(items, smi)
for (const { pci_address, item, ours, theirs } of compared.filter(({ same }) => !same)) {
  process.stdout.write(cleaner.clean(`differs: ${pci_address} ${item}: ${ours}, not ${theirs}\n`))
}
const same = compared.filter((one) => one.same).length
process.stdout.write(`record-gpu: ${files} files in ${out}; ${same} of ${compared.length} items ` +
  `are as nvidia-smi says${trace === undefined ? '; no strace here' : ''}\n`)
process.exitCode = same === compared.length && same > 0 ? 0 : 1
