// The probes of data stores: who reads them. Attached only while the policy names a store.

import type { Probe, ProbeWay } from './table.ts'

/** Of the kernel's own functions, which see every read with what it gave. */
const insideLost = 'reads by file systems that have functions of their own, such as WekaFS, ' +
  'CephFS past the page cache, and DAX; what ptrace takes from memory word by word'
const callsLost = 'what 32-bit programs read of stores, what is cloned (FICLONE), what is read ' +
  'of the memory of other processes from /proc/PID/mem or inside a container; of AIO what was ' +
  'asked for is counted, not what came of it, and vectors are not; a page of a file that is ' +
  'mapped again counts once'

const always = [
  'store_read_fexit', 'store_read_shmem_fexit', 'store_direct_kprobe', 'store_direct_kretprobe',
  'store_open_fentry', 'store_copy_fentry', 'store_copy_fexit', 'store_clone_fexit',
  'store_move_fexit', 'store_exchange_fexit', 'store_memory_access_fexit', 'store_memory_fexit',
  'store_memory_file_fexit',
]
const since66 = ['store_splice_fexit', 'store_splice_shmem_fexit', 'store_map_fentry']
const before65 = ['store_map_page_fentry']
/** The same by kprobes, in pairs where the end of a function does not know its beginning. */
const pair = (name: string): string[] => [`${name}_kprobe`, `${name}_kretprobe`]
const kprobesAlways = [
  ...['store_read', 'store_read_shmem', 'store_direct', 'store_copy', 'store_clone'].flatMap(pair),
  'store_open_kprobe', 'store_move_kprobe', 'store_exchange_kprobe', 'store_memory_access_kprobe',
  'store_memory_kretprobe',
]
const kprobesSince66 = [...['store_splice', 'store_splice_shmem'].flatMap(pair), 'store_map_kprobe']
const kprobesLost = `${insideLost}; what is read from /proc/PID/mem`

const pages = ['store_read_map_pages', 'store_read_fault']

/** They run for every system call of the node. */
const calls = (...programs: string[]): ProbeWay => ({
  programs, attach_type: 'tp_btf',
  lost: (programs.length > 2 ? '' : 'what is read of stores by mappings; ') + callsLost,
})

/**
 * What goes past the functions of store_read; where that one is attached to system calls, they see
 * this, too. By kprobes alone: they let a module go, and need no types of it.
 */
const past = (name: string, lost: string, module: string, ...ways: string[][]): Probe => ({
  name: `store_read_${name}`,
  needs: 'stores',
  unless: { probe: 'store_read', attach_type: 'tp_btf' },
  ...module ? { module, untyped: true } : {},
  ways: ways.map((names) =>
    ({ programs: names.flatMap(pair), attach_type: 'kretprobe', lost: '' })),
  lost,
})

const pastProbes: readonly Probe[] = [
  past('disk', 'who reads the disk below a store past the page cache', '', ['store_disk']),
  past('nfs', 'reads of stores on NFS with O_DIRECT', 'nfs', ['store_nfs']),
  past('fuse', 'reads of stores on FUSE with O_DIRECT or direct_io', 'fuse', ['store_fuse']),
  past('9p', 'reads of stores on 9P past the page cache', '9p',
    ['store_9p_shared'], ['store_9p', 'store_9p_direct', 'store_9p_mapped'],
    ['store_9p', 'store_9p_direct']),
  past('smb', 'reads of stores on SMB past the page cache', 'cifs',
    ['store_smb_shared'], ['store_smb']),
  past('gpu', 'which direct reads of stores go into the memory of a GPU', 'nvidia_fs',
    ['store_gpu']),
  {
    ...past('huge', 'reads of stores by huge pages of mappings', '', ['store_huge']),
    ways: [
      { programs: ['store_huge_fexit'], attach_type: 'fexit', lost: '' },
      { programs: pair('store_huge'), attach_type: 'kretprobe', lost: '' },
    ],
  },
]

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
      { programs: [...always, ...since66], attach_type: 'fexit', lost: insideLost },
      { programs: [...always, ...before65], attach_type: 'fexit', lost: insideLost },
      {
        programs: [...kprobesAlways, ...kprobesSince66], attach_type: 'kretprobe',
        lost: kprobesLost,
      },
      {
        programs: [...kprobesAlways, 'store_map_page_kprobe'], attach_type: 'kretprobe',
        lost: kprobesLost,
      },
      calls('store_read_sys_exit', 'store_read_ring', ...pages),
      calls('store_read_sys_exit', 'store_read_ring_result', ...pages),
      calls('store_read_sys_exit', 'store_read_ring_result'),
      calls('store_read_sys_exit_slow', 'store_read_ring_result'),
    ],
    lost: 'who reads data stores, and how much',
  },
  ...pastProbes,
  {
    name: 'store_read_totals',
    needs: 'stores',
    ways: [{ programs: ['store_reads_iter'], attach_type: 'iterator', every_ms: 5000, lost: '' }],
    lost: 'what is read of data stores after the first read of a process',
  },
]
