// Who acts, read from the path of a cgroup. Pure.

/** What a cgroup path tells. Empty strings for what it does not. */
export interface Workload {
  /** `pod:UID`, `job:ID`, `container:ID` (12 digits), a systemd unit or user slice; '' if none. */
  workload: string
  /** 64 hex digits. */
  container_id: string
  /** As the API server writes it, with dashes; 32 hex digits for a static pod. */
  pod_uid: string
  systemd_unit: string
  /** Number, or SLUID from Slurm 26.05 on. */
  slurm_job: string
}

const noWorkload: Workload = {
  workload: '', container_id: '', pod_uid: '', systemd_unit: '', slurm_job: '',
}

const id = '([0-9a-f]{64})'
/** Of a pod: with dashes from the API server, underscores in slices, a hash for static pods. */
const uid = '([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})'

const podFolder = new RegExp(`^pod${uid}$`)
const podSlice = new RegExp(`^(?:[a-z0-9]+-)*kubepods(?:-besteffort|-burstable)?-pod${uid}\\.slice`)
/** The process that watches a container is not in it: crio-conmon-ID, libpod-conmon-ID. */
const monitor = new RegExp(`^(?:crio|libpod)-conmon-${id}(?:\\.scope)?$`)
const containerScope =
  new RegExp(`^(?:cri-containerd|crio|docker|libpod|libpod-payload|nerdctl)-${id}(?:\\.scope)?$`)
const containerColon = new RegExp(`:(?:cri-containerd|crio|docker|nerdctl):${id}$`)
const containerFolder = new RegExp(`^${id}$`)
const slurmDaemon = /^(?:.+_)?slurmstepd\.scope$/
const slurmV1 = /^slurm(?:_.+)?$/
const slurmJob = /^job_(\d+)$/
const slurmSluid = /^(s[0-9A-Z]{13})$/
const unit = /\.(?:service|scope|mount|socket|swap)$/
const userSlice = /^user-\d+\.slice$/

/**
 * The workload of a cgroup path below the cgroup v2 mount. Where several patterns match, as in a
 * container that runs a whole node, the innermost names the workload.
 */
export function workloadOf(path: string): Workload {
  if (path === '' || path === '/') return noWorkload
  const found: Workload = { ...noWorkload }
  const segments = path.split('/')
  for (let index = 0; index < segments.length; index++) readSegment(found, segments, index)
  return found
}

function readSegment(found: Workload, segments: string[], index: number): void {
  const segment = segments[index]
  const before = segments[index - 1] ?? ''
  const pod = podFolder.exec(segment) ?? podSlice.exec(segment)
  if (pod) {
    found.pod_uid = pod[1].replaceAll('_', '-')
    found.container_id = ''
    found.workload = `pod:${found.pod_uid}`
  }
  if (monitor.test(segment)) return
  const container = containerScope.exec(segment) ?? containerColon.exec(segment) ??
    (holdsContainers(before) ? containerFolder.exec(segment) : null)
  if (container) return enterContainer(found, container[1], podFolder.test(before) ||
    podSlice.test(before) || pod !== null)
  const job = jobOf(segments, index)
  if (job !== '') {
    found.slurm_job = job
    found.workload = `job:${job}`
  } else if (unit.test(segment)) {
    found.systemd_unit = segment
    // The number of a session says nothing, and it is another one each time.
    const user = segment.startsWith('session-') && userSlice.test(before)
    found.workload = user ? before : segment
  }
}

function enterContainer(found: Workload, containerId: string, ofPod: boolean): void {
  found.container_id = containerId
  if (ofPod) return
  found.pod_uid = ''
  found.workload = `container:${containerId.slice(0, 12)}`
}

function holdsContainers(folder: string): boolean {
  return folder === 'docker' || podFolder.test(folder) || podSlice.test(folder)
}

function jobOf(segments: string[], index: number): string {
  const v2 = slurmDaemon.test(segments[index - 1] ?? '')
  const v1 = slurmV1.test(segments[index - 2] ?? '') && /^uid_\d+$/.test(segments[index - 1] ?? '')
  if (!v2 && !v1) return ''
  return (slurmJob.exec(segments[index]) ?? slurmSluid.exec(segments[index]))?.[1] ?? ''
}
