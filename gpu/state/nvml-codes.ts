// What NVML's functions return (nvmlReturn_t of its documentation).

const names = [
  'SUCCESS', 'UNINITIALIZED', 'INVALID_ARGUMENT', 'NOT_SUPPORTED', 'NO_PERMISSION',
  'ALREADY_INITIALIZED', 'NOT_FOUND', 'INSUFFICIENT_SIZE', 'INSUFFICIENT_POWER',
  'DRIVER_NOT_LOADED', 'TIMEOUT', 'IRQ_ISSUE', 'LIBRARY_NOT_FOUND', 'FUNCTION_NOT_FOUND',
  'CORRUPTED_INFOROM', 'GPU_IS_LOST', 'RESET_REQUIRED', 'OPERATING_SYSTEM',
  'LIB_RM_VERSION_MISMATCH', 'IN_USE', 'MEMORY', 'NO_DATA', 'VGPU_ECC_NOT_SUPPORTED',
  'INSUFFICIENT_RESOURCES', 'FREQ_NOT_SUPPORTED', 'ARGUMENT_VERSION_MISMATCH', 'DEPRECATED',
  'NOT_READY', 'GPU_NOT_FOUND', 'INVALID_STATE', 'RESET_TYPE_NOT_SUPPORTED',
]

/** No code of NVML: the library has no such function. */
export const nvmlAbsent = -1
export const nvmlNotSupported = 3
export const nvmlCorruptedInforom = 14

/** 'GPU_IS_LOST' for 15; the number of one that is newer than our list. */
export function nvmlCodeName(code: number): string {
  return code === 999 ? 'UNKNOWN' : names[code] ?? `error ${code}`
}

/** Driver not loaded, GPU lost, reset required, library of another version: states, no failures. */
const states = new Set([9, 15, 16, 18])

/** 'gpu_is_lost' for codes that say how driver or GPU are; undefined for the others. */
export function nvmlStateOf(code: number): string | undefined {
  return states.has(code) ? names[code].toLowerCase() : undefined
}

/** Why a call gave no value, in words. */
export function nvmlReason(symbol: string, code: number): string {
  return code === nvmlAbsent ? `this libnvidia-ml has no ${symbol}` : nvmlCodeName(code)
}
