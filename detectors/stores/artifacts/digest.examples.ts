/** Examples of STO-010: two lists, those that fire and those that stay quiet. */
import type { Example } from '../../../detect/detector.ts'
import { artifactPolicy, digest, server } from './example-artifacts.ts'

const untrusted = 'manifest_untrusted: No key that is trusted signed the manifest. Find out who '
  + 'signed it; if it was you, add the key to manifest_keys.'

const fires: Example[] = [
  {
    name: 'weights that a server loads and that are other ones than were signed',
    policy: artifactPolicy,
    events: [digest(0, 'differs', { reason: 'the manifest says sha256 00, it is 11' }, server),
      digest(10, 'matches', { path: '/data/llama/model-2.safetensors' }, server)],
    fires: ['/data/llama/model-1.safetensors of the store llama is not what /data/llama/model.sig '
      + 'says: the manifest says sha256 00, it is 11. /usr/bin/python3 (pid 701'],
  },
  {
    name: 'a pickle that nobody listed, and a text',
    policy: artifactPolicy,
    events: [digest(0, 'not_listed', { path: '/data/llama/adapter.pt' }, server),
      digest(10, 'not_listed', { path: '/data/llama/README.md' }, server)],
    fires: ['/data/llama/adapter.pt of the store llama is not in the manifest',
      '/data/llama/README.md of the store llama is not in the manifest'],
  },
  {
    name: 'a manifest that another one signed, told once for all files of a store',
    policy: artifactPolicy,
    events: [1, 2, 3].map((i) => digest(i, 'unknown',
      { path: `/data/llama/model-${i}.safetensors`, reason: untrusted, key_id: '' })),
    fires: ['The manifest /data/llama/model.sig of the store llama is not signed by who must sign '
      + 'it: No key that is trusted signed the manifest'],
  },
  {
    name: 'a manifest that is gone, and a file that differs from one that nobody had to sign',
    policy: artifactPolicy,
    events: [
      digest(0, 'unknown',
        { reason: 'manifest_missing: /data/llama/model.sig cannot be read (ENOENT)', key_id: '' }),
      digest(10, 'differs', { store: 'registry', reason: 'it goes on after byte 5', key_id: '' }),
    ],
    fires: ['says nothing: /data/llama/model.sig cannot be read (ENOENT)',
      'is not what /data/llama/model.sig (which nobody had to sign) says: it goes on after byte 5'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'files that are what the manifest says, and files of which nothing can be known',
    policy: artifactPolicy,
    events: [
      digest(0, 'matches', {}, server),
      digest(10, 'unknown', { reason: 'the policy names no manifest of its store', key_id: '' }),
      digest(20, 'unknown', { reason: 'it is no longer where it was read' }, server),
      digest(30, 'unknown', { reason: 'the manifest leaves it out on purpose' }, server),
    ],
    fires: [],
  },
  {
    name: 'a store that the policy has no more',
    policy: artifactPolicy,
    events: [digest(0, 'differs', { store: 'gone', reason: 'it is another one' }, server)],
    fires: [],
  },
]

export const digestExamples = [fires, staysQuiet] as const
