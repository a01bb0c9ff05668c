/** Reads of disks themselves. */
const disks = /^\/dev\/(?!shm\/|hugepages\/)/

/**
 * Of the disk below a store, not of its files. udev, blkid, lvm and the like read the beginning of
 * every disk, to know what is on it.
 */
export function isOfDisk(event: { kind: string, path?: string }): boolean {
  return event.kind === 'store_read' && disks.test(event.path ?? '')
}
