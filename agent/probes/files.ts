// The probes of files: secrets that are opened, and what is left on file systems that nodes share.

import type { Probe } from './table.ts'

/** In the order in which they are attached. */
export const fileProbes: readonly Probe[] = [
  {
    name: 'secret_read',
    ways: [
      { programs: ['secret_read_fentry'], attach_type: 'fentry', lost: '' },
      { programs: ['secret_read_kprobe'], attach_type: 'kprobe', lost: '' },
    ],
    lost: 'which processes open the tokens of Kubernetes service accounts',
  },
  {
    name: 'shared_file',
    ways: [
      { programs: ['shared_file_fentry'], attach_type: 'fentry', lost: '' },
      { programs: ['shared_file_kprobe'], attach_type: 'kprobe', lost: '' },
    ],
    lost: 'which process wrote a file on shared storage that another node then runs',
  },
]
