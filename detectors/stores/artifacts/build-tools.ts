/** Programs that libraries for models run by themselves: to look at the machine, and to compile. */
import type { LineageProcess } from '../../../detect/lineage.ts'
import { programOf } from '../../actor.ts'
import { isShell } from '../../programs.ts'

const COMMAND_CHARS_MAX = 200

/** Compilers and what looks at the machine; as `programOf` gives them. */
const tools = new Set(('gcc g++ cc c++ cc1 cc1plus clang clang++ collect2 ld ld.lld ld.gold lld '
  + 'as ar objdump objcopy readelf nm strip ninja make cmake ccache nvcc cicc ptxas fatbinary '
  + 'cudafe++ nvlink nvdisasm cuobjdump hipcc ldconfig ldconfig.real uname lscpu lspci lsmod '
  + 'nvidia-smi nvidia-debugdump rocm-smi rocminfo ibstat ibv_devinfo numactl nproc hostname '
  + 'getconf lsb_release which file free df sysctl git id whoami true env nice taskset setarch '
  + 'x86_64-linux-gnu-gcc x86_64-linux-gnu-g++ x86_64-linux-gnu-ld x86_64-linux-gnu-as '
  + 'aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ aarch64-linux-gnu-ld').split(' '))
/** Nothing is joined, put into another place, or run inside of a word. */
const joins = /[;|&`\n<>]|\$\(/

/** The arguments in one line; of a shell what it was told to run. */
export function commandOf(process: LineageProcess): string {
  const words = process.args.split('\0')
  const at = isShell(process) ? words.findIndex((word) => /^-[a-z]*c$/.test(word)) : -1
  const command = (at > 0 ? words.slice(at + 1, at + 2) : words).join(' ')
  return (command || process.exe).slice(0, COMMAND_CHARS_MAX)
}

/** One of the tools, also when a shell was asked for it and for nothing else. */
export function isBuildTool(process: LineageProcess): boolean {
  const { exe } = process
  if (isTool(exe)) return true
  if (!isShell(process)) return false
  const command = commandOf(process)
    .replaceAll(/\s*\d?>\s*(?:\/dev\/null|&\d)/g, '').trim()
  if (joins.test(command)) return false
  const words = command.split(/\s+/).filter((word) => !/^[A-Za-z_]\w*=/.test(word))
  return words[0] !== undefined && words[0] !== exe && isTool(words[0].replace(/^["']|["']$/g, ''))
}

/** `gcc-12` is `gcc`; `nvidia-smi` is itself. */
function isTool(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return tools.has(name) || tools.has(programOf(path))
}
