/** Examples of NET-006: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../detect/detector.ts'
import type { Process, ProcessStdio } from '../proto/gen/events.ts'

const server: Partial<Process> = {
  pid: 300, start_time: 1n, ppid: 1, parent_start_time: 1n, uid: 900, comm: 'serve',
  exe: '/opt/vllm/bin/serve', workload: 'vllm.service', cgroup_path: '/system.slice/vllm.service',
}
const child = (pid: number, exe: string): Partial<Process> => ({
  ...server, pid, start_time: BigInt(pid), ppid: 300, parent_start_time: 1n,
  comm: exe.slice(exe.lastIndexOf('/') + 1), exe,
})
const bash = child(301, '/usr/bin/bash')

const exec = (at_ms: number, process: Partial<Process>, ...args: string[]): ExampleEvent =>
  ({ kind: 'process_exec', at_ms, process, values: { exe: process.exe, args } })

function stdio(
  at_ms: number, process: Partial<Process>, values: Partial<ProcessStdio> = {},
): ExampleEvent {
  return {
    kind: 'process_stdio', at_ms, process,
    values: {
      local_addr: '10.30.0.7', local_port: 40_000, remote_addr: '10.66.0.9', remote_port: 4444,
      connection_id: 5n, protocol: 'tcp', descriptors: 7, ...values,
    },
  }
}

const fires: Example[] = [
  {
    name: 'a shell that calls out of an inference server',
    events: [exec(0, server), exec(10, bash, 'bash', '-i'), stdio(10, bash)],
    fires: ['/usr/bin/bash (pid 301, uid 900, workload vllm.service on node-1), started by '
      + '/opt/vllm/bin/serve, has the connection to 10.66.0.9:4444 as its standard input, output, '
      + 'error'],
  },
  {
    name: 'a python that is led by the far end, without a shell',
    events: [exec(0, server), exec(10, child(302, '/usr/bin/python3.11'), 'python3', '-i'),
      stdio(10, child(302, '/usr/bin/python3.11'), { descriptors: 3 })],
    fires: ['/usr/bin/python3.11'],
  },
  {
    name: 'a shell that waits for its master, who connects',
    events: [exec(10, bash, 'sh'), stdio(10, bash, {
      local_addr: '::', local_port: 5555, remote_addr: '2001:db8::7', remote_port: 50_000,
      descriptors: 1,
    })],
    fires: ['connection to [2001:db8::7]:50000 as its standard input'],
  },
  {
    name: 'one shell, and what was typed into it, is one finding',
    events: [exec(10, bash, 'bash'), stdio(10, bash),
      exec(20, child(303, '/usr/bin/id'), 'id'), stdio(20, child(303, '/usr/bin/id')),
      exec(30, child(304, '/usr/bin/bash'), 'bash', '-c', 'ls'),
      stdio(30, child(304, '/usr/bin/bash'))],
    fires: ['/usr/bin/bash (pid 301'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'a service that systemd starts for a connection',
    events: [exec(0, { ...server, pid: 1, exe: '/usr/lib/systemd/systemd' }),
      exec(10, { ...child(302, '/usr/bin/python3'), ppid: 1 }, 'python3', '/opt/status.py'),
      stdio(10, { ...child(302, '/usr/bin/python3'), ppid: 1 })],
    fires: [],
  },
  {
    name: 'a program that is no shell, such as a compiled service of inetd',
    events: [exec(10, child(305, '/usr/sbin/in.tftpd')),
      stdio(10, child(305, '/usr/sbin/in.tftpd'))],
    fires: [],
  },
  {
    name: 'a shell on a terminal',
    events: [exec(10, bash, 'bash', '-l')],
    fires: [],
  },
]

export const reverseShellExamples = [fires, staysQuiet] as const
