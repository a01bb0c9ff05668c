// The probes of what is done to data stores: their files changed, their folders listed. Attached
// only while the policy names a store.

import type { Probe } from './table.ts'

const hooks = [
  'store_opening', 'store_rename', 'store_link', 'store_symlink', 'store_unlink', 'store_rmdir',
  'store_mkdir', 'store_setting', 'store_extended', 'store_extended_removed',
]

/** In the order in which they are attached. */
export const storeWriteProbes: readonly Probe[] = [
  {
    name: 'store_actor_end',
    needs: 'stores',
    ways: [{ programs: ['store_actor_exit'], attach_type: 'tp_btf', lost: '' }],
    lost: 'the end of processes that change or list stores: their last counts are told as if ' +
      'more could come',
  },
  {
    name: 'store_write',
    needs: 'stores',
    ways: [
      {
        programs: [...hooks.map((hook) => `${hook}_fexit`), 'store_closing_fentry'],
        attach_type: 'fexit', lost: '',
      },
      {
        programs: [...hooks, 'store_closing'].map((hook) => `${hook}_kprobe`),
        attach_type: 'kprobe',
        lost: 'whether another security module refused a change of a store',
      },
      {
        // It runs for every system call of the node.
        programs: ['store_write_sys_exit'], attach_type: 'tp_btf',
        lost: 'changes of stores by 32-bit programs and io_uring; those by a path through links, ' +
          'with "..", or in a mount namespace that is new, unless relative to a folder of the ' +
          'store; which file a path named, and what it held before; what is overwritten in place ' +
          'by a process that ends without closing the file, or while 16,384 others are open',
      },
    ],
    lost: 'who changes the files of weights, checkpoints and registries',
  },
  {
    name: 'store_write_totals',
    needs: 'stores',
    ways: [{ programs: ['store_writes_iter'], attach_type: 'iterator', every_ms: 5000, lost: '' }],
    lost: 'changes of stores after the first 16 of a process',
  },
  {
    name: 'store_listing',
    needs: 'stores',
    ways: [
      { programs: ['store_listing_fentry'], attach_type: 'fentry', lost: '' },
      { programs: ['store_listing_kprobe'], attach_type: 'kprobe', lost: '' },
      {
        // It runs for every system call of the node.
        programs: ['store_listing_sys_exit'], attach_type: 'tp_btf',
        lost: 'listings of stores by 32-bit programs and by the file server of the kernel; a ' +
          'folder counts as listed when its end was reached',
      },
    ],
    lost: 'who lists the folders of data stores',
  },
  {
    name: 'store_listing_totals',
    needs: 'stores',
    ways: [
      { programs: ['store_listings_iter'], attach_type: 'iterator', every_ms: 5000, lost: '' },
    ],
    lost: 'how often a process lists the folders of a data store after the first time',
  },
]
