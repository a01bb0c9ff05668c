// What `kubectl apply -k` would send: rights, ports, flags and the policy agree with the code.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defaults as agentDefaults } from '../agent/config.ts'
import { spec as agentCommand } from '../cli/agent.ts'
import type { CommandSpec } from '../cli/command.ts'
import { spec as correlatorCommand } from '../cli/correlator.ts'
import { correlatorSettings } from '../correlator/config.ts'
import { parsePolicy } from '../policy/parse.ts'
import { containersOf, halvesOf, hasKubectl, only, podsOf, render, settingsOf } from './manifests/kubernetes.ts'
import type { Container, Manifest } from './manifests/kubernetes.ts'

const folder = join(import.meta.dirname, '../deploy/kubernetes')
const commands: Record<string, CommandSpec> = { agent: agentCommand, correlator: correlatorCommand }
const reason = hasKubectl() ? '' : 'needs kubectl'
if (reason) process.stderr.write(`!! SKIPPED: kustomize overlays: ${reason}; the base is read as it is\n`)

const container = (objects: Manifest[], name: string): Container =>
  containersOf(objects).find((one) => one.name === name)!
const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))
const portsOf = (one: Container): Record<string, number> =>
  Object.fromEntries(one.ports.map(({ name, containerPort }) => [name, containerPort]))

const overlays = reason === '' ? ['overlays/example', 'overlays/nvidia', 'overlays/tls'] : []
describe.each(['base', ...overlays])('%s', (name) => {
  const objects = render(name)

  it('runs no privileged container and gives no other right than the three of the agent', () => {
    const rights = containersOf(objects).map(({ name: one, securityContext }) => ({
      one, privileged: securityContext.privileged ?? false,
      escalates: securityContext.allowPrivilegeEscalation,
      readOnly: securityContext.readOnlyRootFilesystem, ...securityContext.capabilities,
    }))
    const safe = { privileged: false, escalates: false, readOnly: true, drop: ['ALL'] }
    expect(rights.sort((a, b) => a.one < b.one ? -1 : 1)).toEqual([
      { one: 'agent', ...safe, add: ['BPF', 'PERFMON', 'SYS_PTRACE', 'NET_ADMIN'] },
      { one: 'compile', ...safe },
      { one: 'correlator', ...safe },
    ])
  })

  it('shares the pids of the host with the agent only, and its network with nobody', () => {
    const shared = podsOf(objects).map(({ containers, hostPID, hostNetwork, hostIPC }) =>
      [containers[0].name, hostPID ?? false, hostNetwork ?? false, hostIPC ?? false])
    expect(shared.sort()).toEqual([['agent', true, false, false], ['correlator', false, false, false]])
    for (const { securityContext } of podsOf(objects)) {
      expect(securityContext.seccompProfile).toEqual({ type: 'RuntimeDefault' })
    }
  })

  it('mounts of the host what the agent reads, and lets it write nothing but its data', () => {
    const agent = only(objects, 'DaemonSet').spec.template.spec
    const writable = agent.containers[0].volumeMounts.filter(({ readOnly }) => !readOnly)
    expect(writable.map(({ mountPath }) => mountPath)).toEqual(['/var/lib/vedette/agent'])
    // What overlays add has tests of its own.
    const host = agent.volumes.filter(({ name: one, emptyDir }) => one !== 'tls' && !one.startsWith('host-') &&
      !emptyDir)
      .map(({ hostPath }) => hostPath!.path)
    expect(host).toEqual(['/sys/kernel/btf', '/sys/fs/cgroup', '/var/lib/vedette/agent'])
    expect(JSON.stringify(only(objects, 'StatefulSet'))).not.toContain('hostPath')
  })

  it('lets both halves read names from the API, and nothing else', () => {
    const accounts = objects.filter(({ kind }) => kind === 'ServiceAccount')
    for (const account of accounts) expect(account.automountServiceAccountToken).toBe(false)
    const names = accounts.map(({ metadata }) => metadata.name)
    for (const pod of podsOf(objects)) expect(names).toContain(pod.serviceAccountName)
    const roles = objects.filter(({ kind }) => kind === 'ClusterRole')
    const rules = roles.flatMap(({ metadata, rules: list }) => list!.map((rule) => [metadata.name, rule]))
    const verbs = ['get', 'list', 'watch']
    expect(rules).toEqual([
      ['vedette-agent', { apiGroups: [''], resources: ['pods', 'nodes'], verbs }],
      ['vedette-correlator', { apiGroups: [''], resources: ['pods', 'services', 'nodes'], verbs }],
    ])
    const bound = objects.filter(({ kind }) => kind === 'ClusterRoleBinding').map(({ roleRef, subjects }) =>
      [roleRef!.name, subjects!.map(({ name: one, namespace }) => `${namespace}/${one}`)])
    expect(bound).toEqual(names.map((one) => [one, [`vedette/${one}`]]))
  })

  it('names a version of every image', () => {
    for (const { image } of containersOf(objects)) {
      if (reason === '') expect(image).toMatch(/:\d+\.\d+\.\d+$/)
      expect(image).not.toMatch(/:latest$/)
    }
  })

  it('sets only what the commands know', () => {
    for (const one of halvesOf(objects)) {
      expect(one.args[0]).toBe(one.name)
      const known: readonly string[] = commands[one.args[0]].settings
      expect([...settingsOf(one).keys()].filter((setting) => !known.includes(setting))).toEqual([])
    }
  })

  it('uses the ports that are the defaults, on every address of the pod', () => {
    const correlator = correlatorSettings({ data: '/var/lib/vedette' })
    const given = settingsOf(container(objects, 'correlator'))
    const grpc = portOf(correlator.listen)
    const http = portOf(correlator.listen_http)
    expect(given.get('listen')).toBe(`0.0.0.0:${grpc}`)
    expect(given.get('listen_http')).toBe(`0.0.0.0:${http}`)
    expect(portsOf(container(objects, 'correlator'))).toEqual({ grpc, http })
    const agentHttp = portOf(agentDefaults.listen_http)
    expect(settingsOf(container(objects, 'agent')).get('listen_http')).toBe(`0.0.0.0:${agentHttp}`)
    expect(portsOf(container(objects, 'agent'))).toEqual({ http: agentHttp })
    for (const kind of ['DaemonSet', 'StatefulSet']) {
      const { annotations } = only(objects, kind).spec.template.metadata
      const { http: port } = portsOf(only(objects, kind).spec.template.spec.containers[0])
      expect(Number(annotations['prometheus.io/port'])).toBe(port)
    }
  })

  it('sends agents to the port of the service, through the network policy', () => {
    const { metadata, spec } = only(objects, 'Service')
    const grpc = spec.ports.find((port) => port.name === 'grpc')!
    const target = settingsOf(container(objects, 'agent')).get('correlator')
    expect(target).toBe(`${metadata.name}.${metadata.namespace ?? 'vedette'}.svc:${grpc.port}`)
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy')
    const allowed = (component: string, way: 'ingress' | 'egress'): number[] => policies
      .filter(({ spec: { podSelector } }) =>
        podSelector.matchLabels?.['app.kubernetes.io/component'] === component)
      .flatMap(({ spec: rules }) => rules[way].flatMap(({ ports }) =>
        ports.map(({ port }) => port)))
    expect(allowed('agent', 'egress')).toEqual([grpc.port, 53, 53, 443, 6443])
    expect(allowed('agent', 'ingress')).toEqual([portsOf(container(objects, 'agent')).http])
    expect(allowed('correlator', 'ingress')).toEqual(
      Object.values(portsOf(container(objects, 'correlator'))))
    const everyone = policies.find(({ metadata: { name: one } }) => one === 'vedette-deny')!
    expect(everyone.spec).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] })
  })

  it('asks the halves how they are, where they answer', () => {
    for (const one of halvesOf(objects)) {
      const asked = [one.startupProbe, one.livenessProbe, one.readinessProbe]
        .map(({ httpGet }) => [httpGet.path, httpGet.port])
      expect(asked).toEqual([['/livez', 'http'], ['/livez', 'http'], ['/readyz', 'http']])
    }
  })

  it('names the node by the API and not by what a pod is called, and keeps memory small', () => {
    const { env } = container(objects, 'agent')
    expect(env?.filter((one) => !one.name.startsWith('NVIDIA_'))).toEqual([
      { name: 'VEDETTE_NODE_ID', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'NODE_OPTIONS', value: '--max-semi-space-size=1' },
      { name: 'NODE_COMPILE_CACHE', value: '/compiled/cache' },
    ])
  })

  it('lets the agent read, and not change, what was compiled for it with the same options', () => {
    const compile = container(objects, 'compile')
    const agent = container(objects, 'agent')
    const options = (one: Container) => one.env?.filter((each) => each.name.startsWith('NODE_'))
    expect(options(compile)).toEqual(options(agent))
    expect(compile.image).toBe(agent.image)
    expect(compile.args).toEqual(['agent', '--help'])
    const mount = { name: 'compiled', mountPath: '/compiled' }
    expect(compile.volumeMounts).toEqual([mount])
    expect(agent.volumeMounts.filter(({ name: one }) => one === 'compiled')).toEqual([{ ...mount, readOnly: true }])
    const { volumes } = only(objects, 'DaemonSet').spec.template.spec
    expect(volumes.find(({ name: one }) => one === 'compiled')?.emptyDir).toBeDefined()
  })

  it('keeps the log smaller than the volume that it lies on', () => {
    const bytes = (text: string): number => {
      const [, number, unit] = /^(\d+)(Gi)B?$/.exec(text)!
      return Number(number) * { Gi: 1024 ** 3 }[unit]!
    }
    const [claim] = only(objects, 'StatefulSet').spec.volumeClaimTemplates
    const volume = bytes(claim.spec.resources.requests.storage)
    const log = bytes(settingsOf(container(objects, 'correlator')).get('log_bytes_max')!)
    expect(log).toBeLessThan(volume * 0.9)
  })

  it('runs under the node-critical class, on tainted nodes too, never two on one node', () => {
    const { spec } = only(objects, 'DaemonSet')
    expect(spec.updateStrategy.rollingUpdate.maxSurge).toBe(0)
    expect(spec.template.spec.priorityClassName).toBe('system-node-critical')
    expect(spec.template.spec.tolerations).toEqual([{ operator: 'Exists' }])
    expect(spec.template.spec.terminationGracePeriodSeconds).toBe(20)
    expect(only(objects, 'StatefulSet').spec.replicas).toBe(1)
  })

  it.skipIf(reason)('mounts a policy that the policy check accepts', () => {
    const config = only(objects, 'ConfigMap')
    const { volumes } = only(objects, 'StatefulSet').spec.template.spec
    const mounted = volumes.find((volume) => volume.configMap)
    expect(mounted?.configMap?.name).toBe(config.metadata.name)
    const path = settingsOf(container(objects, 'correlator')).get('policy')!
    const text = config.data[path.slice(path.lastIndexOf('/') + 1)]
    expect(parsePolicy(text, { nowMs: 0 }).problems).toEqual([])
  })
})

describe('the policies beside the manifests', () => {
  it.each(['base', 'overlays/example'])('%s/vedette.yaml passes the policy check', (name) => {
    const text = readFileSync(join(folder, name, 'vedette.yaml'), 'utf8')
    expect(parsePolicy(text, { nowMs: 0 }).problems).toEqual([])
  })
})

describe.skipIf(reason)(`the NVIDIA overlay ${reason}`, () => {
  it('shows the agent the node below the root that it is told, for reading only', () => {
    const objects = render('overlays/nvidia')
    const agent = container(objects, 'agent')
    const root = settingsOf(agent).get('gpu_root')
    const { volumes } = only(objects, 'DaemonSet').spec.template.spec
    const shown = agent.volumeMounts.filter(({ mountPath }) => mountPath.startsWith(`${root}/`))
    expect(shown.length).toBeGreaterThan(5)
    for (const { name, mountPath, readOnly } of shown) {
      const { path } = volumes.find((one) => one.name === name)!.hostPath!
      expect([mountPath, readOnly]).toEqual([`${root}${path}`, true])
    }
  })
})

describe.skipIf(reason)(`the TLS overlay ${reason}`, () => {
  it('gives both halves the three files, from where each one has its own', () => {
    const objects = render('overlays/tls')
    for (const one of halvesOf(objects)) {
      const settings = settingsOf(one)
      const { mountPath } = one.volumeMounts.find(({ name }) => name === 'tls')!
      for (const setting of ['tls_ca', 'tls_cert', 'tls_key']) {
        expect(settings.get(setting)).toMatch(new RegExp(`^${mountPath}/`))
      }
    }
    const { volumes } = only(objects, 'DaemonSet').spec.template.spec
    expect(volumes.find(({ name }) => name === 'tls')?.hostPath?.path).toBe('/etc/vedette/tls')
  })
})
