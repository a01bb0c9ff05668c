// A tree that stands for /proc, /sys, /etc and /lib of a GPU node. Texts as NVIDIA's driver and Linux
// write them.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const params = [
  'ResmanDebugLevel: 4294967295', 'RmLogonRC: 1', 'ModifyDeviceFiles: 1', 'DeviceFileUID: 0', 'DeviceFileMode: 438',
  'RmProfilingAdminOnly: 1', 'EnableGpuFirmware: 18', 'EnableDbgBreakpoint: 0', 'ImexChannelCount: 2048',
  'CoherentGPUMemoryMode: ""', 'RegistryDwords: ""', 'RmMsg: ""', 'TemporaryFilePath: ""', 'ExcludedGpus: ""',
]

/** A folder that is a node. */
export class FakeNode {
  readonly root = mkdtempSync(join(tmpdir(), 'vedette-node-'))

  write(path: string, text: string | Uint8Array): void {
    const file = join(this.root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }

  link(path: string, target: string): void {
    const file = join(this.root, path)
    mkdirSync(dirname(file), { recursive: true })
    symlinkSync(target, file)
  }

  remove(path: string): void { rmSync(join(this.root, path), { recursive: true, force: true }) }

  /** Kernel, security and platform of a host with everything on. */
  host(): this {
    this.write('/proc/sys/kernel/osrelease', '6.12.0-amd64\n')
    this.write('/proc/sys/kernel/tainted', '12289\n')
    this.write('/proc/sys/kernel/modules_disabled', '0\n')
    this.write('/proc/cmdline', 'root=/dev/sda1 lockdown=integrity module.sig_enforce=1\n')
    this.write('/proc/cpuinfo', 'processor\t: 0\nflags\t\t: fpu vme sgx tdx_guest\n\n')
    this.write('/sys/module/module/parameters/sig_enforce', 'Y\n')
    this.write('/sys/module/firmware_class/parameters/path', '\n')
    const variable = (name: string) => `/sys/firmware/efi/efivars/${name}-8be4df61-93ca-11d2-aa0d-00e098032b8c`
    this.write(variable('SecureBoot'), Uint8Array.of(6, 0, 0, 0, 1))
    this.write(variable('SetupMode'), Uint8Array.of(6, 0, 0, 0, 0))
    this.write('/sys/kernel/security/lockdown', 'none [integrity] confidentiality\n')
    this.write('/sys/kernel/security/ima/violations', '0\n')
    this.write('/sys/class/tpm/tpm0/tpm_version_major', '2\n')
    for (let pcr = 0; pcr < 8; pcr++) this.write(`/sys/class/tpm/tpm0/pcr-sha256/${pcr}`, `${pcr}F`.repeat(32) + '\n')
    this.write('/sys/class/iommu/dmar0/x', '')
    this.write('/sys/module/kvm_intel/parameters/tdx', 'N\n')
    return this
  }

  /** A driver that has been loaded. */
  driver(version = '570.211.01', open = true): this {
    const name = open ? 'Open Kernel Module for x86_64' : 'x86_64 Kernel Module'
    this.write('/proc/driver/nvidia/version', `NVRM version: NVIDIA UNIX ${name}  ${version}  Release Build  ` +
      '(builder@host)  Thu Jan  8 12:00:00 UTC 2026\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n')
    this.write('/proc/driver/nvidia/params', `${params.join('\n')}\n`)
    this.write('/proc/driver/nvidia/registry', 'Binary: ""\n')
    for (const [module, srcversion] of [['nvidia', '6F0A1'], ['nvidia_uvm', '7B2C3']]) {
      this.write(`/sys/module/${module}/version`, `${version}\n`)
      this.write(`/sys/module/${module}/srcversion`, `${srcversion}D4E5F60718293A\n`)
      this.write(`/sys/module/${module}/taint`, 'OE\n')
    }
    this.write('/sys/module/nvidia_uvm/parameters/uvm_debug_prints', '0\n')
    this.write('/etc/modprobe.d/nvidia.conf',
      '# ours\noptions nvidia NVreg_RestrictProfilingToAdminUsers=1\noptions snd_hda_intel power_save=1\n')
    this.write(`/lib/firmware/nvidia/${version}/gsp_ga10x.bin`, `gsp of ${version}`)
    this.write(`/lib/firmware/nvidia/${version}/gsp_tu10x.bin`, `old gsp of ${version}`)
    this.write('/lib/firmware/nvidia/ga102/gsp/booter_load-535.113.01.bin', 'of nouveau')
    return this
  }

  unloadDriver(): void {
    for (const path of ['/proc/driver/nvidia', '/sys/module/nvidia', '/sys/module/nvidia_uvm']) this.remove(path)
  }

  /** A GPU in the slot of a PCI address; with a UUID when the driver has it. */
  gpu(address: string, uuid?: string, driver = 'nvidia'): this {
    const folder = `/sys/bus/pci/devices/${address}`
    this.remove(folder)
    for (const [name, text] of Object.entries({
      vendor: '0x10de', class: '0x030200', device: '0x2330', subsystem_vendor: '0x10de', subsystem_device: '0x16c1',
      driver_override: '(null)', numa_node: '0', sriov_numvfs: '0',
    })) this.write(`${folder}/${name}`, `${text}\n`)
    if (driver !== '') this.link(`${folder}/driver`, `../../../../bus/pci/drivers/${driver}`)
    this.link(`${folder}/iommu_group`, '../../../kernel/iommu_groups/12')
    if (uuid !== undefined) {
      this.write(`/proc/driver/nvidia/gpus/${address}/information`, [
        'Model: \t\t NVIDIA H100 80GB HBM3', 'IRQ:   \t\t 152', `GPU UUID: \t ${uuid}`, 'Video BIOS: \t 96.00.74.00.09',
        'Bus Type: \t PCIe', 'DMA Size: \t 52 bits', 'DMA Mask: \t 0xfffffffffffff', `Bus Location: \t ${address}`,
        'Device Minor: \t 0', 'GPU Firmware: \t 570.211.01', 'GPU Excluded:\t No', '',
      ].join('\n'))
    }
    return this
  }

  /** The container toolkit with a CDI spec. */
  toolkit(): this {
    this.write('/etc/nvidia-container-runtime/config.toml', [
      'disable-require = false', 'accept-nvidia-visible-devices-envvar-when-unprivileged = false', '',
      '[nvidia-container-cli]', '#no-cgroups = false', 'ldconfig = "@/sbin/ldconfig"', '', '[nvidia-container-runtime]',
      'mode = "auto"', '',
    ].join('\n'))
    this.write('/usr/bin/nvidia-ctk', 'a program')
    this.write('/var/lib/dpkg/info/nvidia-container-toolkit.list', '/usr/bin/nvidia-ctk\n')
    this.write('/var/lib/dpkg/status', 'Package: bash\nVersion: 5.2\n\nPackage: nvidia-container-toolkit\n' +
      'Status: install ok installed\nVersion: 1.17.8-1\n\nPackage: zlib1g\nVersion: 1.3\n\n')
    this.write('/var/run/cdi/nvidia.yaml', [
      'cdiVersion: 0.5.0', 'kind: nvidia.com/gpu', 'devices:', '- name: all', '  containerEdits:', '    hooks:',
      '    - hookName: createContainer', '      path: /usr/bin/nvidia-cdi-hook', 'containerEdits:', '  hooks:',
      '  - hookName: createContainer', '    path: /usr/bin/nvidia-cdi-hook', '',
    ].join('\n'))
    return this
  }

  /** NVSwitches and their manager. */
  fabric(): this {
    this.write('/proc/driver/nvidia-nvswitch/devices/0000:05:00.0/information',
      'BIOS Version: 96.10.57.00.01\nUUID: SWX-0C4B45A1-9A54-6A5F-1F8C-1E2D00000001\nPhysical location ID: 0005\n')
    this.write('/proc/4711/comm', 'nv-fabricmanage\n')
    this.write('/proc/4712/comm', 'bash\n')
    this.write('/usr/share/nvidia/nvswitch/fabricmanager.cfg', 'FABRIC_MODE=0\n')
    return this
  }

  close(): void { rmSync(this.root, { recursive: true, force: true }) }
}
