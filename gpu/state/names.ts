// Names of items and of GPUs, in one form wherever they come from.

/** 'RmProfilingAdminOnly' as 'rm_profiling_admin_only', 'DeviceFileUID' as 'device_file_uid'. */
export function snakeCase(name: string): string {
  return name.replaceAll('PCIe', 'Pcie').replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_').toLowerCase().slice(0, 96)
}

/** '00000000:1B:00.0' (NVML) and '0000:1b:00.0' as '0000:1b:00.0'; undefined when it is neither. */
export function pciAddressOf(text: string): string | undefined {
  const form = /^([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i
  const parts = form.exec(text.trim())
  if (!parts) return undefined
  // The kernel writes as many digits of the domain as it needs, and four at least.
  const domain = parseInt(parts[1], 16).toString(16).padStart(4, '0')
  return `${domain}:${parts[2]}:${parts[3]}.${parts[4]}`.toLowerCase()
}

/** The subject of a GPU: by its UUID; by its PCI address while nobody tells the UUID. */
export function gpuSubject(uuid: string | undefined, pciAddress: string | undefined): string {
  return `gpu:${uuid ?? pciAddress ?? 'unknown'}`
}

/** A UUID of a GPU; undefined when it is none, such as 'GPU-????????-…' of a sleeping one. */
export function gpuUuidOf(text: string): string | undefined {
  const found = /^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.exec(text.trim())
  return found?.[0].replace(/^gpu/i, 'GPU')
}
