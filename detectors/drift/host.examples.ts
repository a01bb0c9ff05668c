/** Examples of GPU-006. */
import type { Example } from '../../detect/detector.ts'
import { baseline, baselinePolicy, changed, lost, told } from './samples.ts'

const fires: Example[] = [
  {
    name: 'Secure Boot is off after the node was started again',
    events: [told(0, 'host', 'secure_boot', 'on'), told(90_000, 'host', 'secure_boot', 'off'),
      told(90_000, 'host', 'lockdown', 'none')],
    fires: ['The trust in the kernel of node-1 changed: secure_boot: on → off'],
  },
  {
    name: 'the kernel is locked down less', events: [told(0, 'host', 'lockdown', 'confidentiality'),
      changed(1000, 'host', 'lockdown', ['confidentiality', 'integrity'])],
    fires: ['lockdown: confidentiality → integrity'],
  },
  {
    name: 'the TPM is gone', events: [told(0, 'host', 'tpm_version_major', '2'),
      lost(1000, 'host', 'tpm_version_major', '2', 'not_supported')],
    fires: ['tpm_version_major: 2 → not there'],
  },
  {
    name: 'another IMA policy', events: [told(0, 'host', 'ima_policy_sha256', 'aa'),
      changed(1000, 'host', 'ima_policy_sha256', ['aa', 'bb'])],
    fires: ['ima_policy_sha256: aa → bb'],
  },
  {
    name: 'a kernel that the baseline does not name', policy: baselinePolicy,
    events: [baseline(0, '  - {subject: host, item: kernel_release, value: 6.12.117}\n'
      + '  - {subject: host, item: secure_boot, value: "on"}\n'),
      told(10, 'host', 'kernel_release', '6.1.0'), told(10, 'host', 'secure_boot', 'on'),
      lost(90_000, 'host', 'secure_boot', 'on')],
    fires: ['kernel_release: 6.1.0 (the baseline h100 wants 6.12.117), and 1 further item'],
  },
]

const quiet: Example[] = [
  { name: 'a node that was never locked down', fires: [],
    events: [told(0, 'host', 'secure_boot', 'off'), told(0, 'host', 'lockdown', 'none')] },
  { name: 'another kernel, where no baseline names one', fires: [],
    events: [told(0, 'host', 'kernel_release', '6.1.0'),
      told(9000, 'host', 'kernel_release', '6.12'), told(9000, 'host', 'tpm_pcr_4', 'bb')] },
  { name: 'a kernel that is trusted more', fires: [],
    events: [told(0, 'host', 'lockdown', 'none'), told(9000, 'host', 'lockdown', 'integrity')] },
  { name: 'securityfs is not mounted any more', fires: [],
    events: [told(0, 'host', 'lockdown', 'integrity'),
      lost(9000, 'host', 'lockdown', 'integrity')] },
]

export const hostTrustExamples = { fires, quiet }
