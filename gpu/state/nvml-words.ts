// Numbers of NVML in its own words, per item (its documentation; for confidential computing also
// ctrlcb33.h of NVIDIA open-gpu-kernel-modules). What is not in a list stays a number.

const onOff = ['disabled', 'enabled']
const yesNo = ['no', 'yes']
const restricted = ['unrestricted', 'restricted']

const lists: Record<string, readonly (string | undefined)[]> = {
  architecture: [, , 'kepler', 'maxwell', 'pascal', 'volta', 'turing', 'ampere', 'ada', 'hopper',
    'blackwell', , , 'rubin'],
  virtualization_mode: ['none', 'passthrough', 'vgpu', 'host_vgpu', 'host_vsga'],
  gsp_firmware_mode: onOff,
  gsp_firmware_default_mode: onOff,
  ecc_mode: onOff,
  ecc_mode_pending: onOff,
  default_ecc_mode: onOff,
  mig_mode: onOff,
  mig_mode_pending: onOff,
  persistence_mode: onOff,
  accounting_mode: onOff,
  dram_encryption_mode: onOff,
  dram_encryption_mode_pending: onOff,
  compute_mode: ['default', 'exclusive_thread', 'prohibited', 'exclusive_process'],
  api_restriction_set_application_clocks: restricted,
  api_restriction_set_auto_boosted_clocks: restricted,
  remapped_rows_pending: yesNo,
  remapped_rows_failure: yesNo,
  retired_pages_pending: yesNo,
  fabric_state: ['not_supported', 'not_started', 'in_progress', 'completed'],
  conf_compute_cpu_caps: ['none', 'sev', 'tdx', 'sev_snp', 'snp_vtom'],
  conf_compute_gpus_caps: ['none', 'apm', 'hcc'],
  conf_compute_environment: ['unavailable', 'simulation', 'production'],
  conf_compute_feature: ['disabled', 'apm', 'hcc'],
  conf_compute_dev_tools_mode: ['off', 'on'],
  conf_compute_multi_gpu_mode: ['none', 'ppcie', 'nvle'],
  conf_compute_gpus_ready_state: ['not_ready', 'ready'],
  inforom_valid: ['corrupt', 'valid'],
}

const hexadecimal = new Set(['pci_device_id', 'pci_subsystem_id', 'fabric_health_mask',
  'inforom_configuration_checksum'])

/** The value of an item as it is told. Texts stay as they are. */
export function nvmlWords(item: string, value: string): string {
  if (item === 'nvlink_states') return linksInWords(value)
  if (item === 'mig_devices') return value || 'none'
  if (!/^\d{1,20}$/.test(value)) return value
  if (hexadecimal.has(item)) return `0x${Number(value).toString(16).padStart(8, '0')}`
  return lists[item]?.[Number(value)] ?? value
}

/** '1101' as '3 of 4 active, not 2'. */
function linksInWords(states: string): string {
  const inactive = [...states].flatMap((state, link) => state === '1' ? [] : [String(link)])
  const active = `${states.length - inactive.length} of ${states.length} active`
  return inactive.length === 0 ? active : `${active}, not ${inactive.join(' ')}`
}
