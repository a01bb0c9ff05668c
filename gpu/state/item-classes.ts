// What an item of the state means: what its change is a change of, whether it is part of what a
// class of nodes has in common, and which values leave less protection than others. Names of items
// as the readers of the agent make them; of GPUs they are those of NVML's documentation.

/**
 * driver: driver, modules, their parameters, container toolkit. firmware: what runs on the GPU, and
 * what the GPU is. protection: settings that keep tenants apart or show errors. confidential:
 * confidential computing of GPU and machine. mode: how a GPU is shared. host: what the kernel of
 * the node can be trusted for.
 */
export type ItemClass = 'driver' | 'firmware' | 'protection' | 'confidential' | 'mode' | 'host'

interface Rule {
  items: RegExp
  of: ItemClass
  /** Differs from node to node or boot to boot: only a baseline that names it can judge it. */
  onlyByBaseline?: true
  /** Not part of what a class of nodes has in common. */
  notCaptured?: true
}

const driverRules: readonly Rule[] = [
  { items: /^conf_compute_gpus_ready_state$/, of: 'confidential', onlyByBaseline: true,
    notCaptured: true },
  { items: /^conf_compute_/, of: 'confidential' },
  { items: /^param_rm_profiling_admin_only$/, of: 'protection' },
  { items: /^device_node_/, of: 'protection', notCaptured: true },
  { items: /^(?:version|flavour|nvml_driver_version|modprobe_options|registry)$/, of: 'driver' },
  { items: /^(?:param_|module_)/, of: 'driver' },
  { items: /^(?:nvml_version|cuda_driver_version|driver_branch|pci_gpus)$/, of: 'driver',
    onlyByBaseline: true },
]

/** Names of subjects and items come from drivers: maps have no names of their own. */
const rules: ReadonlyMap<string, readonly Rule[]> = new Map(Object.entries({
  driver: driverRules,
  firmware: [{ items: /^(?:search_path|files|file:)/, of: 'firmware' }],
  gpu: [
    { items: /^conf_compute_protected_memory_kib$/, of: 'confidential' },
    { items: /^(?:vbios_version|video_bios|inforom_(?!configuration)|gsp_firmware_|gpu_firmware)/,
      of: 'firmware' },
    { items: /^inforom_configuration_checksum$/, of: 'firmware', notCaptured: true },
    { items: /^(?:board_part_number|pci_device|pci_device_id|pci_subsystem_(?:id|device))$/,
      of: 'firmware' },
    { items: /^(?:name|model|architecture|minor_number)$/, of: 'firmware', onlyByBaseline: true,
      notCaptured: true },
    { items: /^(?:ecc_mode|dram_encryption_mode)(?:_pending)?$/, of: 'protection' },
    { items: /^(?:accounting_mode|persistence_mode|api_restriction_|pci_iommu_group)/,
      of: 'protection' },
    { items: /^(?:mig_mode|mig_mode_pending|compute_mode|virtualization_mode|pci_sriov_numvfs)$/,
      of: 'mode' },
    { items: /^mig_devices$/, of: 'mode', notCaptured: true },
    { items: /^(?:pci_driver|pci_driver_override|gpu_excluded)$/, of: 'driver' },
  ],
  toolkit: [
    { items: /^(?:config_(?!sha256)|cdi_hooks)/, of: 'protection' },
    { items: /^(?:version|config_sha256|file:)/, of: 'driver' },
  ],
  fabric: [
    { items: /^file:/, of: 'driver' },
    { items: /^fabric_manager$/, of: 'protection', onlyByBaseline: true },
  ],
  nvswitch: [{ items: /(?:vbios|firmware|bios)/, of: 'firmware' }],
  host: [
    { items: /^(?:tdx_guest|sev_snp_guest)$/, of: 'confidential' },
    { items: /^(?:secure_boot|setup_mode|lockdown|modules_disabled|module_sig_enforce)$/,
      of: 'host' },
    { items: /^(?:ima_policy_sha256|tpm_version_major|iommu|sgx|tdx_host|sev_(?:es_|snp_)?host)$/,
      of: 'host' },
    { items: /^(?:kernel_release|kernel_command_line|kernel_taint|tpm_pcr_\d+)$/, of: 'host',
      onlyByBaseline: true, notCaptured: true },
  ],
} satisfies Record<string, readonly Rule[]>))

/** Modes and their protection, from the least to the most; others cannot be compared. */
const rising: ReadonlyMap<string, readonly string[]> = new Map(Object.entries({
  ecc_mode: ['disabled', 'enabled'],
  ecc_mode_pending: ['disabled', 'enabled'],
  dram_encryption_mode: ['disabled', 'enabled'],
  dram_encryption_mode_pending: ['disabled', 'enabled'],
  accounting_mode: ['disabled', 'enabled'],
  persistence_mode: ['disabled', 'enabled'],
  api_restriction_set_application_clocks: ['unrestricted', 'restricted'],
  api_restriction_set_auto_boosted_clocks: ['unrestricted', 'restricted'],
  param_rm_profiling_admin_only: ['0', '1'],
  pci_iommu_group: ['no', 'yes'],
  inforom_valid: ['corrupt', 'valid'],
  conf_compute_cpu_caps: ['none', 'sev', 'sev_snp'],
  conf_compute_gpus_caps: ['none', 'apm', 'hcc'],
  conf_compute_environment: ['unavailable', 'simulation', 'production'],
  conf_compute_feature: ['disabled', 'apm', 'hcc'],
  conf_compute_dev_tools_mode: ['on', 'off'],
  conf_compute_gpus_ready_state: ['not_ready', 'ready'],
  secure_boot: ['off', 'on'],
  setup_mode: ['on', 'off'],
  lockdown: ['none', 'integrity', 'confidentiality'],
  modules_disabled: ['off', 'on'],
  module_sig_enforce: ['off', 'on'],
  iommu: ['off', 'on'],
  sgx: ['off', 'on'],
  tdx_guest: ['off', 'on'],
  sev_snp_guest: ['off', 'on'],
  tdx_host: ['off', 'on'],
  sev_host: ['off', 'on'],
  sev_es_host: ['off', 'on'],
  sev_snp_host: ['off', 'on'],
}))

/** What the change of an item is a change of; null for counters, names and what is no setting. */
export function classOfItem(subject: string, item: string): ItemClass | null {
  return ruleOf(subject, item)?.of ?? null
}

/** Only a baseline that names the item says whether its value is right. */
export function isJudgedByBaselineOnly(subject: string, item: string): boolean {
  const rule = ruleOf(subject, item)
  return rule === undefined || rule.onlyByBaseline === true
}

/** All nodes of a class have it alike: it belongs in a captured baseline. */
export function belongsInBaseline(subject: string, item: string): boolean {
  const rule = ruleOf(subject, item)
  return rule !== undefined && !rule.notCaptured
}

/**
 * Negative, 0 or positive as the second value protects less, as much or more than the first; null
 * when they cannot be compared.
 */
export function protectionChange(item: string, before: string, now: string): number | null {
  if (before === now) return 0
  if (/^config_|_config_/.test(item)) return toolkitChange(item, before, now)
  if (item.startsWith('device_node_')) return isForAll(before) === isForAll(now) ? null
    : isForAll(now) ? -1 : 1
  const order = rising.get(item)
  if (order === undefined) return null
  const [from, to] = [order.indexOf(before), order.indexOf(now)]
  return from < 0 || to < 0 ? null : to - from
}

/** Whether a value of the item is one that protects: its loss is worth telling. */
export function isProtective(item: string, value: string): boolean {
  if (item === 'tpm_version_major' || item === 'ima_policy_sha256') return value !== ''
  return (rising.get(item)?.indexOf(value) ?? -1) > 0
}

/** Settings that open the boundary of containers; `ldconfig` of the host begins with @. */
function toolkitChange(item: string, before: string, now: string): number | null {
  if (item.endsWith('_ldconfig')) {
    return Number(now.startsWith('@')) - Number(before.startsWith('@'))
  }
  const opens = /(?:_unprivileged|_volume_mounts|_from_container|_no_cgroups|_no_pivot)$/
  return opens.test(item) ? Number(before === 'true') - Number(now === 'true') : null
}

/** 'c 195:0 0666 0:0': whether everybody may write. */
function isForAll(node: string): boolean {
  return (parseInt(/^\S+ \S+ (\d{3,4})/.exec(node)?.[1] ?? '0', 8) & 0o2) !== 0
}

function ruleOf(subject: string, item: string): Rule | undefined {
  const colon = subject.indexOf(':')
  return rules.get(colon < 0 ? subject : subject.slice(0, colon))
    ?.find(({ items }) => items.test(item))
}
