// The errors that NVIDIA's driver reports of a GPU, by number. Pure.
//
// Names as in the driver's headers: NVIDIA open-gpu-kernel-modules, nverror.h, without the words
// ROBUST_CHANNEL and INFOROM in front. Categories and what is critical are our own reading of these
// names and of NVIDIA's page "Analyzing Xid Errors with the Xid Catalog".

export type XidCategory = 'security' | 'confidential_computing' | 'firmware' | 'integrity' |
  'fabric' | 'application' | 'hardware' | 'information'

/** What is known of an error. */
export interface XidFacts {
  /** Absent where the headers give no name. */
  name?: string
  category: XidCategory
  /** The GPU is lost, or needs a reset. */
  critical: boolean
}

type Row = [number: number, name: string, critical?: 'critical']

const byCategory: Record<XidCategory, Row[]> = {
  security: [
    [66, ''], [67, ''], [110, 'SEC_FAULT_ERROR', 'critical'], [137, 'NVLINK_PRIV_ERR'],
  ],
  confidential_computing: [
    [151, 'KEY_ROTATION_ERROR'], [166, 'NVLINK_SECURE_CRYPTO_ERR'], [170, 'NVLINK_SECURE_OTHER'],
  ],
  firmware: [
    [37, ''], [38, ''], [59, 'PMU_ERROR'], [60, 'SEC2_ERROR'], [62, 'PMU_HALT_ERROR', 'critical'],
    [93, 'ERASE_LIMIT_EXCEEDED'], [119, 'GSP_RPC_TIMEOUT', 'critical'],
    [120, 'GSP_ERROR', 'critical'], [122, 'SPI_PMU_RPC_READ_FAIL'],
    [123, 'SPI_PMU_RPC_WRITE_FAIL'], [124, 'SPI_PMU_RPC_ERASE_FAIL'], [125, 'INFOROM_FS_ERROR'],
    [143, 'GPU_INIT_ERROR', 'critical'], [168, 'REDUCED_GPU_MEMORY_CAPACITY'],
    [169, 'SEC2_HALT_ERROR', 'critical'],
  ],
  integrity: [
    [48, 'GPU_ECC_DBE', 'critical'], [63, 'DRAM_RETIREMENT_EVENT'],
    [64, 'DRAM_RETIREMENT_FAILURE', 'critical'], [80, 'PBDMA_PUSHBUFFER_CRC_MISMATCH'],
    [92, 'EXCESSIVE_SBE_INTERRUPTS'], [94, 'CONTAINED_ERROR'],
    [95, 'UNCONTAINED_ERROR', 'critical'],
    [140, 'UNRECOVERABLE_ECC_ERROR_ESCAPE', 'critical'],
    [156, ''], [157, ''], [160, ''], [161, ''], [171, 'UNCORRECTABLE_DRAM_ERROR'],
    [172, 'UNCORRECTABLE_SRAM_ERROR'],
  ],
  fabric: [
    [74, 'NVLINK_ERROR', 'critical'], [121, 'C2C_ERROR'], [136, ''], [144, 'NVLINK_SAW_ERROR'],
    [145, 'NVLINK_RLW_ERROR'], [146, 'NVLINK_TLW_ERROR'], [147, 'NVLINK_TREX_ERROR'], [148, ''],
    [149, 'NVLINK_NETIR_ERROR'], [150, 'NVLINK_MSE_ERROR'], [155, 'NVLINK_SW_DEFINED_ERROR'],
    [173, '', 'critical'],
  ],
  application: [
    [13, 'GR_EXCEPTION'], [31, 'FIFO_ERROR_MMU_ERR_FLT'], [32, 'PBDMA_ERROR'], [39, 'CE0_ERROR'],
    [40, 'CE1_ERROR'], [41, 'CE2_ERROR'], [42, 'VIC_ERROR'], [43, 'RESETCHANNEL_VERIF_ERROR'],
    [47, 'NVENC0_ERROR'], [65, 'NVENC1_ERROR'], [68, 'NVDEC0_ERROR'], [69, 'GR_CLASS_ERROR'],
    [70, 'CE3_ERROR'], [71, 'CE4_ERROR'], [72, 'CE5_ERROR'], [73, 'NVENC2_ERROR'],
    [75, 'CE6_ERROR'], [76, 'CE7_ERROR'], [77, 'CE8_ERROR'], [82, 'NVJPG0_ERROR'],
    [83, 'NVDEC1_ERROR'], [84, 'NVDEC2_ERROR'], [85, 'CE9_ERROR'], [86, 'OFA0_ERROR'],
    [88, 'NVDEC3_ERROR'], [89, 'NVDEC4_ERROR'],
  ],
  hardware: [
    [8, ''], [44, 'GR_FAULT_DURING_CTXSW'], [46, 'GPU_TIMEOUT_ERROR'],
    [79, 'GPU_HAS_FALLEN_OFF_THE_BUS', 'critical'], [109, ''],
    [158, 'GPU_FATAL_TIMEOUT', 'critical'],
  ],
  information: [
    [14, 'FAKE_ERROR'], [45, 'PREEMPTIVE_REMOVAL'], [61, 'PMU_BREAKPOINT'],
    [78, 'VGPU_START_ERROR'], [87, 'NVTELEMETRY_DRIVER_REPORT'],
    [154, 'GPU_RECOVERY_ACTION_CHANGED'],
  ],
}

const table = new Map<number, XidFacts>()
for (const [category, rows] of Object.entries(byCategory) as [XidCategory, Row[]][]) {
  for (const [number, name, critical] of rows) {
    table.set(number, { ...(name && { name }), category, critical: critical !== undefined })
  }
}

/** What is known of an Xid; undefined for one that is not in the table. */
export function xidFacts(xid: number): XidFacts | undefined {
  return table.get(xid)
}

/** The numbers that are in the table, ascending. */
export function knownXids(): number[] {
  return [...table.keys()].sort((one, other) => one - other)
}
