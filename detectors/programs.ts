/** Programs by what people use them for. Names without folder and version, as `programOf` gives. */
import type { LineageProcess } from '../detect/lineage.ts'
import { programOf } from './actor.ts'
import { interpretedOf } from './interpreted.ts'

/** They run what they are told. */
const shells = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'mksh', 'ash', 'fish', 'csh', 'tcsh',
  'rbash', 'busybox', 'toybox', 'pwsh', 'powershell', 'elvish', 'xonsh'])

/** They run a text as a program. */
const interpreters = new Set(['python', 'perl', 'ruby', 'node', 'nodejs', 'php', 'php-cgi', 'lua',
  'luajit', 'tclsh', 'expect', 'awk', 'gawk', 'mawk', 'Rscript', 'java', 'jshell', 'bun', 'deno'])

/** They fetch, send or show what somebody wants to look at by hand. */
const handTools = new Set(['curl', 'wget', 'nc', 'nc.openbsd', 'nc.traditional', 'ncat', 'netcat',
  'socat', 'telnet', 'openssl', 'aria2c', 'http', 'https', 'xh', 'cat', 'head', 'tail', 'less',
  'more', 'grep', 'base', 'xxd', 'od', 'strings', 'cp', 'dd', 'tar', 'nmap', 'masscan', 'zmap',
  'jq', 'kubectl', 'aws', 'gcloud', 'az', 'etcdctl', 'crictl', 'ctr', 'docker', 'podman',
  'nerdctl'])

export function isShell({ exe, comm }: LineageProcess): boolean {
  return shells.has(programOf(exe)) || (exe === '' && shells.has(comm))
}

export function isInterpreter({ exe, comm }: LineageProcess): boolean {
  return interpreters.has(programOf(exe)) || (exe === '' && interpreters.has(comm))
}

/** A shell, or a tool that people use by hand: no service is made of it. */
export function isByHand(process: LineageProcess): boolean {
  return isShell(process) || handTools.has(programOf(process.exe)) || isOneLiner(process)
}

/** An interpreter that got its program on the command line. */
function isOneLiner(process: LineageProcess): boolean {
  if (!isInterpreter(process)) return false
  const interpreted = interpretedOf(process)
  if (interpreted !== null) return interpreted.kind === 'code' && interpreted.text !== ''
  return /\0-(?:c|e|r|E)(?:\0|$)/.test(process.args)
}

/** It runs in a pod, a container or a job: it is not part of the node itself. */
export function isContained({ cgroup, rowWorkload }: LineageProcess): boolean {
  return /^(?:pod|container|job):/.test(cgroup.workload || rowWorkload)
}
