/** Who acts in examples about GPUs, and a policy that says who may. */
import type { Process } from '../../proto/gen/events.ts'

/** Administrators are the unit of the vendor's daemon and one pod; maintenance is one hour. */
export const gpuPolicy = `version: 1
gpus:
  users: { namespaces: [team-*], workloads: ["job:*"] }
  administrators:
    systemd_units: [gpu-maintenance.service]
  maintenance:
    - { from: 2030-01-01T00:00:00Z, until: 2030-01-01T01:00:00Z, reason: new driver }
`
/** Milliseconds in an example when the maintenance is over. */
export const afterMaintenanceMs = 3_700_000

function process(pid: number, exe: string, workload: string, path: string): Partial<Process> {
  return { pid, start_time: BigInt(pid), uid: 0, exe, workload, cgroup_path: path,
    comm: exe.slice(exe.lastIndexOf('/') + 1).slice(0, 15) }
}

/** A program of a unit of the node. */
export function ofUnit(pid: number, exe: string, unit: string): Partial<Process> {
  return process(pid, exe, unit, `/system.slice/${unit}`)
}

/** A program in a pod. */
export function inPod(pid: number, exe: string, pod = 'pod:web/front-0'): Partial<Process> {
  return { ...process(pid, exe, pod, `/kubepods/${pid}`), uid: 1000 }
}

/** A program in a Slurm job. */
export function inJob(pid: number, exe: string, job = 'job:4711'): Partial<Process> {
  return { ...process(pid, exe, job, `/system.slice/slurmstepd.scope/${job}`), uid: 1001 }
}

/** Who loads modules when a device is found. */
export const udev = ofUnit(310, '/usr/bin/udevadm', 'systemd-udevd.service')
/** The tool of who maintains the node, by the policy. */
export const maintainer = ofUnit(320, '/usr/bin/kmod', 'gpu-maintenance.service')
