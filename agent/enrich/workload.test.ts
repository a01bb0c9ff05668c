import { describe, expect, it } from 'vitest'
import { workloadOf } from './workload.ts'

const id = 'c9d2927200112233445566778899aabbccddeeff00112233445566778899aabb'
const outer = 'f'.repeat(64)
const uid = '6d83fd9f-b7d4-4808-9784-b6e53db4cbc5'
const slug = uid.replaceAll('-', '_')
const hash = '0123456789abcdef0123456789abcdef'
const inPod = { workload: `pod:${uid}`, pod_uid: uid, container_id: id }
const inContainer = { workload: `container:${id.slice(0, 12)}`, container_id: id, pod_uid: '' }

const rows: [name: string, path: string, expected: object][] = [
  ['Kubernetes, cgroupfs', `/kubepods/besteffort/pod${uid}/${id}`, inPod],
  ['Kubernetes, cgroupfs, guaranteed', `/kubepods/pod${uid}/${id}`, inPod],
  ['Kubernetes, cgroupfs, the pod itself', `/kubepods/pod${uid}`,
    { workload: `pod:${uid}`, container_id: '' }],
  ['Kubernetes, systemd, containerd', '/kubepods.slice/kubepods-besteffort.slice/' +
    `kubepods-besteffort-pod${slug}.slice/cri-containerd-${id}.scope`, { ...inPod, systemd_unit: '' }],
  ['Kubernetes, systemd, guaranteed',
    `/kubepods.slice/kubepods-pod${slug}.slice/cri-containerd-${id}.scope`, inPod],
  ['Kubernetes, systemd, CRI-O', '/kubepods.slice/kubepods-burstable.slice/' +
    `kubepods-burstable-pod${slug}.slice/crio-${id}.scope`, inPod],
  ['the monitor of CRI-O, in the pod but in no container',
    `/kubepods.slice/kubepods-pod${slug}.slice/crio-conmon-${id}.scope`,
    { workload: `pod:${uid}`, container_id: '', systemd_unit: '' }],
  ['Kubernetes, cgroupfs, CRI-O', `/kubepods/besteffort/pod${uid}/crio-${id}`, inPod],
  ['Kubernetes, systemd, docker',
    `/kubepods.slice/kubepods-pod${slug}.slice/docker-${id}.scope`, inPod],
  ['containerd with colons', '/system.slice/containerd.service/' +
    `kubepods-burstable-pod${slug}.slice:cri-containerd:${id}`, inPod],
  ['a static pod', `/kubepods/burstable/pod${hash}/${id}`,
    { workload: `pod:${hash}`, pod_uid: hash, container_id: id }],
  ['kind', `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${slug}.slice/` +
    `cri-containerd-${id}.scope`, inPod],
  ['a node in a container: the innermost', `/system.slice/docker-${outer}.scope/kubelet.slice/` +
    `kubelet-kubepods.slice/kubelet-kubepods-pod${slug}.slice/cri-containerd-${id}.scope`, inPod],
  ['a container in a pod', `/kubepods/pod${uid}/${outer}/docker/${id}`, inContainer],
  ['Docker, systemd', `/system.slice/docker-${id}.scope`, { ...inContainer, systemd_unit: '' }],
  ['Docker, cgroupfs', `/docker/${id}`, inContainer],
  ['a unit in a container', `/system.slice/docker-${id}.scope/system.slice/nginx.service`,
    { workload: 'nginx.service', systemd_unit: 'nginx.service', container_id: id }],
  ['Podman', `/machine.slice/libpod-${id}.scope/container`, inContainer],
  ['Podman in a unit', `/system.slice/db.service/libpod-payload-${id}`,
    { ...inContainer, systemd_unit: 'db.service' }],
  ['the monitor of Podman', `/machine.slice/libpod-conmon-${id}.scope`,
    { workload: '', container_id: '' }],
  ['nerdctl', `/system.slice/nerdctl-${id}.scope`, inContainer],
  ['Slurm', '/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0',
    { workload: 'job:4711', slurm_job: '4711', systemd_unit: 'slurmstepd.scope' }],
  ['Slurm, several nodes on one machine',
    '/system.slice/n1_slurmstepd.scope/job_8/step_batch/user/task_special', { workload: 'job:8' }],
  ['Slurm in another slice', '/hpc.slice/slurmstepd.scope/job_8/step_extern', { workload: 'job:8' }],
  ['Slurm from 26.05 on', '/system.slice/slurmstepd.scope/sEKNKTV3WPV500/step_interactive/user',
    { workload: 'job:sEKNKTV3WPV500', slurm_job: 'sEKNKTV3WPV500' }],
  ['the Slurm daemon itself', '/system.slice/slurmstepd.scope/system',
    { workload: 'slurmstepd.scope', slurm_job: '' }],
  ['a container in a Slurm job', `/system.slice/slurmstepd.scope/job_5/step_0/user/docker/${id}`,
    { ...inContainer, slurm_job: '5' }],
  ['Slurm, cgroup v1', '/slurm_n1/uid_0/job_1/step_0', { workload: 'job:1', slurm_job: '1' }],
  ['Slurm, cgroup v1, one node', '/slurm/uid_1000/job_12/step_batch', { workload: 'job:12' }],
  ['a service', '/system.slice/ssh.service',
    { workload: 'ssh.service', systemd_unit: 'ssh.service', container_id: '' }],
  ['a service with an instance', '/system.slice/system-getty.slice/getty@tty1.service',
    { workload: 'getty@tty1.service' }],
  ['a session', '/user.slice/user-1000.slice/session-3.scope',
    { workload: 'user-1000.slice', systemd_unit: 'session-3.scope' }],
  ["a user's service",
    '/user.slice/user-1000.slice/user@1000.service/app.slice/jupyter.service',
    { workload: 'jupyter.service' }],
  ['init', '/init.scope', { workload: 'init.scope' }],
]

describe('workloadOf', () => {
  it.each(rows)('reads %s', (_, path, expected) => {
    expect(workloadOf(path)).toMatchObject(expected)
  })

  it.each([
    '/', '', '/system.slice', '/user.slice/user-0.slice', '/podcast/0123', `/my/${id}`,
    '/docker/notanid', '/job_7/step_0', '/uid_0/job_7', '/slurm/job_7', '/kubepods/podnonsense',
    `/docker-${id.slice(1)}`, '/slurmstepd.scopes/job_1', '/../..', '////',
  ])('sees no workload in %s', (path) => {
    expect(workloadOf(path).workload).toBe('')
  })
})
