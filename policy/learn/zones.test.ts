import { describe, expect, it } from 'vitest'
import type { Census, Member } from './census.ts'
import { proposeZones } from './zones.ts'

const member = (values: Partial<Omit<Member, 'addresses'>> & { at?: string[] }): Member => ({
  node_id: 'node-1', node_group: '', namespace: '', labels: [], service_account: '',
  slurm_partition: '', cgroup_path: '', workload: '', exe: '/usr/bin/app', ...values,
  addresses: new Set(values.at),
})
const census = (members: Member[], values: Partial<Census> = {}): Census => ({
  members, own: new Set(members.flatMap(({ addresses }) => [...addresses])), named: new Set(),
  remotes: new Map(), names: new Map(), nodes: new Map(), ends: 1, unlisted: 0, ...values,
})
const matches = (...args: Parameters<typeof proposeZones>) =>
  Object.fromEntries(proposeZones(...args).zones.map(({ name, match }) => [name, match]))

describe('a zone holds what workloads have in common', () => {
  it('namespace of pods, partition of jobs, group of nodes', () => {
    const members = [
      member({ namespace: 'team-a', at: ['10.1.0.5'] }), member({ slurm_partition: 'gpu' }),
      member({ node_group: 'store', node_id: 's1', at: ['10.5.0.1'] }),
      member({ node_group: 'store', node_id: 's2', at: ['10.5.0.2'] }),
    ]
    expect(matches(census(members, { named: new Set(['10.1.0.5']) }))).toEqual({
      gpu: { slurm_partitions: ['gpu'] },
      store: { node_groups: ['store'], cidrs: ['10.5.0.0/30'] },
      // The address of a pod is another pod's tomorrow: what is known of it says more.
      'team-a': { namespaces: ['team-a'] },
    })
  })

  it('nodes whose names differ in their number, by their addresses', () => {
    const members = ['gpu-01.site', 'gpu-02.site', 'store-1'].map((node_id, i) =>
      member({ node_id, at: [`10.0.${node_id.startsWith('gpu') ? 1 : 2}.${i}`] }))
    expect(matches(census(members))).toEqual({
      gpu: { cidrs: ['10.0.1.0/31'] }, store: { cidrs: ['10.0.2.2/32'] },
    })
  })

  it('units, cgroups and executables, where there is one group of nodes only', () => {
    const members = [
      member({ cgroup_path: '/system.slice/nginx.service' }),
      member({ cgroup_path: '/system.slice/getty@tty1.service' }),
      member({ cgroup_path: '/user.slice/user-1000.slice/session-3.scope' }),
      member({ cgroup_path: '/', exe: '/opt/bin/Thing' }),
    ]
    expect(matches(census(members))).toEqual({
      getty: { systemd_units: ['getty@*.service'] }, nginx: { systemd_units: ['nginx.service'] },
      thing: { executables: ['/opt/bin/Thing'] }, user: { cgroup_paths: ['/user.slice/**'] },
    })
  })

  it('the application of pods, where all are in one namespace', () => {
    const members = ['llm', 'db'].map((app) => member({ namespace: 'prod', labels: [`app=${app}`] }))
    expect(matches(census(members))).toEqual({
      db: { labels: ['kubernetes.io/metadata.name=prod,app=db'] },
      llm: { labels: ['kubernetes.io/metadata.name=prod,app=llm'] },
    })
  })

  it('pods of which only the cgroup is known; jobs belong to their nodes then', () => {
    const members = [
      member({ workload: 'pod:x', cgroup_path: '/kubepods.slice/pod1/c1' }),
      member({ node_group: 'gpu', workload: 'job:7', cgroup_path: '/system.slice/slurmstepd.scope/job_7/step_0' }),
      member({ node_group: 'gpu', cgroup_path: '/a' }),
    ]
    expect(matches(census(members))).toEqual({
      gpu: { node_groups: ['gpu'] },
      pods: { cgroup_paths: ['/kubepods.slice/**'] },
    })
  })

  it('the own part of the cgroup tree, where nodes are parts of one kernel', () => {
    const members = ['a', 'b'].flatMap((node_id) => ['x', 'y'].map((name) =>
      member({ node_id, cgroup_path: `/rig/${node_id}/${name}`, at: [`10.0.0.${node_id}`.replace('a', '1')
        .replace('b', '9')] })))
    expect(matches(census(members))).toEqual({
      a: { cgroup_paths: ['/rig/a', '/rig/a/**'], cidrs: ['10.0.0.1/32'] },
      b: { cgroup_paths: ['/rig/b', '/rig/b/**'], cidrs: ['10.0.0.9/32'] },
    })
  })
})

describe('an address', () => {
  it('that jobs share with their node is that of the node', () => {
    const members = [member({ slurm_partition: 'gpu', at: ['10.0.0.1'] }),
      member({ node_group: 'gpus', at: ['10.0.0.1'] })]
    expect(matches(census(members))).toEqual({
      gpu: { slurm_partitions: ['gpu'] }, gpus: { node_groups: ['gpus'], cidrs: ['10.0.0.1/32'] },
    })
  })

  it('that two groups of nodes have, such as that of a bridge, is nobody\'s', () => {
    const members = ['a', 'b'].map((node_group) => member({ node_group, at: ['172.17.0.1'] }))
    expect(matches(census(members))).toEqual({
      a: { node_groups: ['a'] }, b: { node_groups: ['b'] },
    })
  })

  it('of a private server or client that nobody watches is in a zone by what it is for', () => {
    const remotes = new Map([
      ['10.9.0.1', { serves: new Set(['2049/tcp', '40123/udp']), asks: new Set<string>() }],
      ['10.9.0.2', { serves: new Set(['2049/tcp']), asks: new Set<string>() }],
      ['10.8.0.1', { serves: new Set<string>(), asks: new Set(['22/tcp']) }],
      ['8.8.8.8', { serves: new Set(['53/udp']), asks: new Set<string>() }],
    ])
    const { zones } = proposeZones(census([], { remotes }))
    expect(zones).toMatchObject([
      { name: 'clients-ssh', match: { cidrs: ['10.8.0.1/32'] }, unwatched: true },
      { name: 'servers-nfs', match: { cidrs: ['10.9.0.0/30'] }, unwatched: true },
    ])
  })
})

describe('what is in a zone already', () => {
  it('is not proposed again, and its name is not taken', () => {
    const members = [member({ node_group: 'a', at: ['10.0.0.1'] }), member({ node_group: 'b' })]
    expect(matches(census(members), {
      isZoned: ({ node_group }) => node_group === 'a', taken: ['app'],
      isZonedAddress: (address) => address === '10.0.0.1',
    })).toEqual({ 'app-2': { executables: ['/usr/bin/app'] } })
  })
})

it('names of workloads that are no names of zones are made ones', () => {
  const groups = ['Größe 1', 'any', '-9x', '9'].map((node_group) => member({ node_group }))
  for (const { name } of proposeZones(census(groups)).zones) {
    expect(name).toMatch(/^[a-z][a-z0-9_-]{0,62}$/)
    expect(name).not.toBe('any')
  }
})

it('zones beyond what a policy holds are counted', () => {
  const members = Array.from({ length: 300 }, (_, i) => member({ node_group: `group-${i}` }))
  const { zones, refused } = proposeZones(census(members))
  expect([zones.length, refused]).toEqual([200, 100])
})
