// The probes of data stores: who reads them. Attached only while the policy names a store.

import type { Probe } from './table.ts'

const callsLost = 'what 32-bit programs read of stores, what is cloned (FICLONE) or read from ' +
  'the memory of other processes, and which pages of a mapping were there already; of AIO what ' +
  'was asked for is counted, not what came of it'

/** In the order in which they are attached. */
export const storeProbes: readonly Probe[] = [
  {
    name: 'store_process_end',
    needs: 'stores',
    ways: [{ programs: ['store_process_exit'], attach_type: 'tp_btf', lost: '' }],
    lost: 'the end of processes that read stores: their last reads are told an hour late',
  },
  {
    name: 'store_read',
    needs: 'stores',
    ways: [
      {
        // They run for every system call of the node.
        programs: [
          'store_read_sys_exit', 'store_read_ring', 'store_read_map_pages', 'store_read_fault',
        ],
        attach_type: 'tp_btf', lost: callsLost,
      },
      {
        programs: [
          'store_read_sys_exit', 'store_read_ring_result', 'store_read_map_pages',
          'store_read_fault',
        ],
        attach_type: 'tp_btf', lost: callsLost,
      },
      {
        programs: ['store_read_sys_exit'], attach_type: 'tp_btf',
        lost: `what is read of stores by mappings and io_uring; ${callsLost}`,
      },
    ],
    lost: 'who reads data stores, and how much',
  },
  {
    name: 'store_read_totals',
    ways: [{ programs: ['store_reads_iter'], attach_type: 'iterator', every_ms: 5000, lost: '' }],
    lost: 'what is read of data stores after the first read of a process',
  },
]
