/** Programs that do with files what no server and no training does. */
import type { LineageProcess } from '../../detect/lineage.ts'
import { programOf } from '../actor.ts'
import { interpretedOf } from '../interpreted.ts'
import { isShell } from '../programs.ts'

/** What a tool does with what it reads. */
export type Use = 'packs' | 'copies' | 'sends' | 'shows' | 'runs_a_line' | 'takes_memory'

const tools: ReadonlyMap<string, Use> = new Map([
  ...namesOf('packs', 'tar bsdtar gtar zip 7z 7za 7zr 7zz rar cpio pax ar gzip pigz zstd pzstd ' +
    'xz pixz bzip pbzip lbzip lz lzop lrzip brotli mksquashfs mkisofs genisoimage xorriso ' +
    'restic borg kopia duplicity gpg age zstdmt shar compress'),
  ...namesOf('copies', 'cp mv install dd rsync tee pv split csplit ddrescue dcp msrsync fpsync ' +
    'mbuffer skopeo'),
  ...namesOf('sends', 'scp sftp sftp-server ssh sshd curl wget nc nc.openbsd nc.traditional ncat ' +
    'netcat socat openssl rclone aws s5cmd s3cmd s4cmd gsutil gcloud az azcopy ftp lftp ncftpput ' +
    'tftp croc wormhole git git-lfs gh hf huggingface-cli oras mutt sendmail ' +
    'smbclient ipfs'),
  ...namesOf('shows', 'cat head tail less more grep egrep fgrep rg strings xxd od hexdump base ' +
    'basenc jq sed awk gawk mawk sort cut tr vi vim nano diff cmp iconv uuencode'),
  // Scripts of Python that run what they are told, or what is typed.
  ...namesOf('runs_a_line', 'ipython bpython ptpython'),
])
/** Modules of Python that pack files, or serve and send them. */
const modules: ReadonlyMap<string, Use> = new Map([
  ...namesOf('packs', 'tarfile zipfile gzip bz2 lzma zlib'),
  ...namesOf('sends', 'http.server SimpleHTTPServer RangeHTTPServer uploadserver pyftpdlib ' +
    'twisted awscli'),
  ...namesOf('shows', 'base64 pdb code'),
  ...namesOf('runs_a_line', 'IPython bpython ptpython timeit'),
])
/** Workers of Python's own process pools get a line as their program. */
const workerLine = new RegExp('^from (?:multiprocess(?:ing)?|joblib|loky)' +
  '[.\\w]* import \\w+; ?\\w+\\([\\w\\s=,.:*\'"/{}\\-\\[\\]]*\\)$')

/** The answer for a process as long as it runs the same: every detector asks, at every read. */
const kept = new WeakMap<LineageProcess, Kept>()

interface Kept { exe: string, comm: string, args: string, use: Use | null }

/** Null for what may be a server, a training or a check of files: nothing that is known. */
export function useOf(process: LineageProcess): Use | null {
  const { exe, comm, args } = process
  const known = kept.get(process)
  if (known?.exe === exe && known.comm === comm && known.args === args) return known.use
  const use = useByName(process)
  kept.set(process, { exe, comm, args, use })
  return use
}

function useByName(process: LineageProcess): Use | null {
  const name = nameOf(process)
  const own = tools.get(name) ?? tools.get(programOf(name))
  if (own !== undefined) return own
  const interpreted = interpretedOf(process)
  if (interpreted === null) return isShell(process) ? 'runs_a_line' : null
  const { kind, text } = interpreted
  if (kind === 'module') return modules.get(text) ?? modules.get(text.split('.')[0]) ?? null
  if (kind === 'code') return workerLine.test(text) ? null : 'runs_a_line'
  // Tools that are written in Python: what is run says the name.
  const script = scriptOf(text)
  return tools.get(script) ?? tools.get(programOf(script)) ?? null
}

/** Name of the program without folder; of one that is many, the one that was asked for. */
function nameOf({ exe, comm, args }: LineageProcess): string {
  const name = (exe || comm).slice((exe || comm).lastIndexOf('/') + 1)
  if (!/^(?:busybox|toybox|coreutils)/.test(name)) return name
  const words = args.split('\0').map((word) => word.slice(word.lastIndexOf('/') + 1))
  return words.find((word) => word !== name && tools.has(word)) ?? comm
}

function scriptOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.py$/, '')
}

/** `packs files`, for a sentence. */
export function useInWords(use: Use): string {
  return {
    packs: 'a program that packs files', copies: 'a program that copies files',
    sends: 'a program that sends files', shows: 'a program that shows files',
    runs_a_line: 'a program that was typed in, not a file',
    takes_memory: 'a program that takes it out of the memory of another workload',
  }[use]
}

function namesOf(use: Use, names: string): [string, Use][] {
  return names.split(' ').map((name) => [name, use])
}
