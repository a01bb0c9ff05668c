// The kernel's own NFS server, for tests in the kernel rig: one at a time.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'

/** Only in a machine of its own, which is thrown away: the server is one of the kernel. */
export function whyNoNfs(): string {
  if (!existsSync('/dev/ttyS1') || existsSync('/run/systemd/system')) return 'not in the kernel rig'
  if (spawnSync('modprobe', ['-a', 'nfsd', 'nfsv3']).status !== 0) return 'no NFS in this kernel'
  return existsSync('/usr/sbin/rpc.mountd') ? '' : 'nfs-kernel-server is not installed'
}

/** Serves a folder on loopback, by NFS 3. Gives what stops it. */
export function serveNfs(folder: string): () => void {
  for (const dir of ['/run/rpcbind', '/run/sendsigs.omit.d']) mkdirSync(dir, { recursive: true })
  if (!existsSync('/proc/fs/nfsd/threads')) {
    execFileSync('mount', ['-t', 'nfsd', 'nfsd', '/proc/fs/nfsd'])
  }
  // Both stay; another test may have started them.
  spawnSync('rpcbind', ['-w'])
  execFileSync('exportfs', ['-o', 'rw,no_root_squash,insecure,fsid=7,no_subtree_check',
    `127.0.0.1:${folder}`])
  execFileSync('rpc.nfsd', ['--no-nfs-version', '4', '1'])
  spawnSync('rpc.mountd', ['--no-nfs-version', '4'])
  return () => {
    execFileSync('rpc.nfsd', ['0'])
    execFileSync('exportfs', ['-u', `127.0.0.1:${folder}`])
  }
}
