/** What went wrong in the kernel rig, by stage. */
export type VmErrorCode =
  | 'kernel_unknown'
  | 'kernel_fetch'
  | 'module_missing'
  | 'tool_missing'
  | 'rig_busy'
  | 'guest_boot'
  | 'guest_died'
  | 'guest_timeout'

/** An error of the kernel rig. The message says what failed, where, and what to do. */
export class VmError extends Error {
  readonly code: VmErrorCode

  constructor(code: VmErrorCode, message: string) {
    super(message)
    this.name = 'VmError'
    this.code = code
  }
}
