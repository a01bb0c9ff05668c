// The objects that `kubectl apply -k` would send, with the parts of them that the tests look at.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

export interface Container {
  name: string
  image: string
  args: string[]
  env?: { name: string, value?: string, valueFrom?: unknown }[]
  ports: { name: string, containerPort: number }[]
  securityContext: {
    privileged?: boolean
    allowPrivilegeEscalation?: boolean
    readOnlyRootFilesystem?: boolean
    capabilities: { drop?: string[], add?: string[] }
  }
  volumeMounts: { name: string, mountPath: string, readOnly?: boolean }[]
  startupProbe: Probe
  livenessProbe: Probe
  readinessProbe: Probe
}

interface Probe { httpGet: { path: string, port: string } }

export interface Pod {
  containers: Container[]
  initContainers?: Container[]
  hostPID?: boolean
  hostNetwork?: boolean
  hostIPC?: boolean
  automountServiceAccountToken?: boolean
  serviceAccountName: string
  priorityClassName: string
  tolerations?: unknown[]
  terminationGracePeriodSeconds: number
  securityContext: { seccompProfile: { type: string } }
  volumes: { name: string, hostPath?: { path: string }, emptyDir?: object, configMap?: { name: string } }[]
}

interface Rule { ports: { port: number }[] }

export interface Manifest {
  kind: string
  metadata: { name: string, namespace?: string }
  data: Record<string, string>
  automountServiceAccountToken?: boolean
  rules?: object[]
  roleRef?: { name: string }
  subjects?: { name: string, namespace: string }[]
  spec: {
    template: { metadata: { annotations: Record<string, string> }, spec: Pod }
    replicas?: number
    updateStrategy: { rollingUpdate: { maxSurge: number } }
    volumeClaimTemplates: { spec: { resources: { requests: { storage: string } } } }[]
    ports: { name: string, port: number }[]
    podSelector: { matchLabels?: Record<string, string> }
    ingress: Rule[]
    egress: Rule[]
  }
}

const folder = join(import.meta.dirname, '../../deploy/kubernetes')

/** Is there a kubectl that can build overlays, offline? */
export function hasKubectl(): boolean {
  try {
    execFileSync('kubectl', ['kustomize', '--help'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** The objects of a folder below deploy/kubernetes; without kubectl its files, as they are. */
export function render(name: string): Manifest[] {
  if (hasKubectl()) {
    return documents(execFileSync('kubectl', ['kustomize', join(folder, name)], { encoding: 'utf8' }))
  }
  const text = (file: string): string => readFileSync(join(folder, name, file), 'utf8')
  const { resources } = parse(text('kustomization.yaml')) as { resources: string[] }
  return resources.flatMap((file) => documents(text(file)))
}

function documents(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]
    return document.toJS() as Manifest
  })
}

/** The one object of a kind. */
export function only(objects: Manifest[], kind: string): Manifest {
  const found = objects.filter((object) => object.kind === kind)
  if (found.length !== 1) throw new Error(`${found.length} objects of kind ${kind}, not one`)
  return found[0]
}

export function podsOf(objects: Manifest[]): Pod[] {
  return objects.filter(({ kind }) => kind === 'DaemonSet' || kind === 'StatefulSet')
    .map(({ spec }) => spec.template.spec)
}

/** The containers that stay, each with a half of the product. */
export function halvesOf(objects: Manifest[]): Container[] {
  return podsOf(objects).flatMap(({ containers }) => containers)
}

/** These, and what runs before them. */
export function containersOf(objects: Manifest[]): Container[] {
  return podsOf(objects).flatMap(({ containers, initContainers = [] }) =>
    [...containers, ...initContainers])
}

/** Settings of Vedette that a container sets, by flag and by variable, with their values. */
export function settingsOf({ args, env = [] }: Container): Map<string, string> {
  const flags = args.slice(1).map((arg): [string, string] => {
    const [, name, value] = /^--([a-z-]+)=(.+)$/.exec(arg) ?? [arg, arg, '']
    return [name.replaceAll('-', '_'), value]
  })
  const variables = env.filter(({ name }) => name.startsWith('VEDETTE_'))
    .map(({ name, value = '' }): [string, string] =>
      [name.slice('VEDETTE_'.length).toLowerCase(), value])
  return new Map([...flags, ...variables])
}
