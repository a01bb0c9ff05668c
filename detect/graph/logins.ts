/** What a process has to do with the one that accepted for it. */
import type { LineageProcess } from '../lineage.ts'

/**
 * Programs that run what people and schedulers who logged in ask for: a shell below them is their
 * purpose, and who may log in is a matter of flows.
 */
const logins = new Set(['sshd', 'sshd-session', 'sshd-auth', 'dropbear', 'login', 'in.telnetd',
  'kubelet', 'slurmd', 'slurmstepd', 'pbs_mom', 'orted', 'prted', 'hydra_pmi_proxy',
  'systemd-logind'])

export function isLogin(process: LineageProcess | null): boolean {
  return process !== null && logins.has(programOf(process))
}

/** The process runs something else than the server that accepted for it, which is no login. */
export function isForeign(process: LineageProcess, server: LineageProcess | null): boolean {
  if (server === null) return true
  return !isLogin(server) && programOf(process) !== programOf(server)
}

/** Name of the program without folder and version. */
function programOf({ exe, comm }: LineageProcess): string {
  return (exe === '' ? comm : exe.slice(exe.lastIndexOf('/') + 1)).replace(/[-.\d]+$/, '')
}
