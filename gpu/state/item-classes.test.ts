import { describe, expect, it } from 'vitest'
import {
  belongsInBaseline, classOfItem, isJudgedByBaselineOnly, isProtective, protectionChange,
} from './item-classes.ts'

describe('an item of the state of GPUs', () => {
  it('has a class by its subject and name, or none', () => {
    const classes: [string, string, string | null][] = [
      ['driver', 'version', 'driver'], ['driver', 'module_nvidia_srcversion', 'driver'],
      ['driver', 'param_rm_profiling_admin_only', 'protection'],
      ['driver', 'conf_compute_feature', 'confidential'], ['driver', 'driver_state', null],
      ['driver', 'device_count', null], ['gpu:GPU-1', 'vbios_version', 'firmware'],
      ['gpu:GPU-1', 'ecc_mode_pending', 'protection'], ['gpu:GPU-1', 'mig_mode', 'mode'],
      ['gpu:GPU-1', 'total_ecc_errors_uncorrected', null], ['gpu:GPU-1', 'version', null],
      ['host', 'tdx_guest', 'confidential'], ['host', 'lockdown', 'host'], ['host', 'ima_violations', null],
      ['firmware', 'file:/lib/firmware/nvidia/570/gsp.bin', 'firmware'], ['', '', null], ['__proto__', 'x', null],
    ]
    for (const [subject, item, of] of classes) {
      expect([subject, item, classOfItem(subject, item)]).toEqual([subject, item, of])
    }
  })

  it('belongs in a baseline when nodes of a class have it alike', () => {
    for (const [subject, item] of [['driver', 'version'], ['gpu:1', 'vbios_version'], ['host', 'secure_boot']]) {
      expect([item, belongsInBaseline(subject, item)]).toEqual([item, true])
    }
    for (const [subject, item] of [['gpu:1', 'serial'], ['gpu:1', 'uuid'], ['gpu:1', 'minor_number'],
      ['gpu:1', 'remapped_rows_correctable'], ['host', 'kernel_command_line'], ['host', 'tpm_pcr_4'],
      ['gpu:1', 'mig_devices'], ['driver', 'device_node_nvidia0'], ['driver', 'driver_state']]) {
      expect([item, belongsInBaseline(subject, item)]).toEqual([item, false])
    }
    expect([isJudgedByBaselineOnly('host', 'kernel_release'), isJudgedByBaselineOnly('host', 'lockdown'),
      isJudgedByBaselineOnly('gpu:1', 'serial')]).toEqual([true, false, true])
  })

  it('protects more or less by its value, where values have an order', () => {
    expect(protectionChange('ecc_mode', 'enabled', 'disabled')).toBeLessThan(0)
    expect(protectionChange('ecc_mode', 'disabled', 'enabled')).toBeGreaterThan(0)
    expect(protectionChange('lockdown', 'none', 'confidentiality')).toBe(2)
    expect(protectionChange('conf_compute_dev_tools_mode', 'off', 'on')).toBe(-1)
    expect(protectionChange('ecc_mode', 'enabled', 'other')).toBeNull()
    expect(protectionChange('vbios_version', '1', '2')).toBeNull()
    expect(protectionChange('config_nvidia_container_cli_ldconfig', '@/sbin/ldconfig', '/sbin/ldconfig')).toBe(-1)
    expect(protectionChange('config_nvidia_container_cli_no_cgroups', 'false', 'true')).toBe(-1)
    expect(protectionChange('device_node_nvidia0', 'c 195:0 0666 0:0', 'c 195:0 0660 0:0')).toBe(1)
    expect([isProtective('tdx_guest', 'on'), isProtective('tdx_guest', 'off'), isProtective('x', '')]).toEqual(
      [true, false, false])
  })
})
