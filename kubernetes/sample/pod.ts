/** Objects as the API server writes them, for tests. */

/** A pod as `kubectl get pod -o json` shows it, fields that nobody reads left out. */
export function samplePod(changes: {
  uid?: string, name?: string, namespace?: string, ip?: string, labels?: Record<string, string>,
  annotations?: Record<string, string>, phase?: string, hostNetwork?: boolean, node?: string,
} = {}): object {
  const { uid = '6d83fd9f-b7d4-4808-9784-b6e53db4cbc5', name = 'llm-5d9c7b9f4-x2x2x' } = changes
  const ip = changes.ip ?? '10.244.1.17'
  return {
    apiVersion: 'v1', kind: 'Pod',
    metadata: {
      uid, name, namespace: changes.namespace ?? 'team-a',
      labels: changes.labels ?? { app: 'llm', 'pod-template-hash': '5d9c7b9f4' },
      annotations: changes.annotations,
      ownerReferences: [{
        apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'llm-5d9c7b9f4', controller: true,
      }],
    },
    spec: {
      nodeName: changes.node ?? 'gpu-07', serviceAccountName: 'serving',
      hostNetwork: changes.hostNetwork,
      containers: [{ name: 'server', image: 'registry.example/llm:1' }],
    },
    status: { phase: changes.phase ?? 'Running', podIP: ip, podIPs: [{ ip }] },
  }
}
