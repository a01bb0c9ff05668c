// Who is who on the nodes of the rig, and the files in /etc that say so.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** User and group id of each user; the home is /home/NAME, own data is in /srv/NAME. */
export const USERS = { infer: 2001, train: 2002, data: 2003, ops: 2004 } as const
export type User = keyof typeof USERS

/** Writes the files that every node of a rig sees in /etc, and the keys of its users. */
export function writeEtc(dir: string, nameServer: string): void {
  mkdirSync(dir)
  const users = Object.entries(USERS)
  const file = (name: string, lines: string[]): void =>
    writeFileSync(join(dir, name), `${lines.join('\n')}\n`)
  file('passwd', [
    'root:x:0:0:root:/root:/bin/sh',
    'sshd:x:100:65534::/run/sshd:/usr/sbin/nologin',
    'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
    ...users.map(([name, id]) => `${name}:x:${id}:${id}::/home/${name}:/bin/bash`),
  ])
  file('group', ['root:x:0:', 'nogroup:x:65534:', ...users.map(([name, id]) => `${name}:x:${id}:`)])
  // No password fits, and no account is locked: keys only.
  file('shadow', ['root', 'sshd', 'nobody', ...users.map(([name]) => name)]
    .map((name) => `${name}:*:19000::::::`))
  file('hosts', ['127.0.0.1 localhost'])
  file('nsswitch.conf', ['passwd: files', 'group: files', 'hosts: files dns'])
  file('resolv.conf', [`nameserver ${nameServer}`, 'options timeout:2 attempts:2'])
  file('ssh_config', [
    'Host *', '  StrictHostKeyChecking no', '  UserKnownHostsFile /dev/null', '  LogLevel ERROR',
    '  ConnectTimeout 10', '  BatchMode yes', '  GSSAPIAuthentication no',
  ])
  for (const key of ['host', 'ops', 'deploy']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', join(dir, key)])
  }
  // In the foreground, keys only, no session files: nothing of the machine itself is touched.
  file('sshd_config', [
    'Port 22', 'UsePAM no', 'StrictModes no', 'PasswordAuthentication no',
    'AuthorizedKeysFile /home/%u/.ssh/authorized_keys', 'PidFile none', 'PrintMotd no',
    'UseDNS no', 'MaxStartups 100', `HostKey ${join(dir, 'host')}`,
  ])
}
