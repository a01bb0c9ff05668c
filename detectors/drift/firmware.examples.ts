/** Examples of GPU-002. */
import type { Example } from '../../detect/detector.ts'
import { baseline, baselinePolicy, changed, gpu, lost, otherGpu, told } from './samples.ts'
import { gpuPolicy, maintainer, ofUnit } from '../gpu/example-actors.ts'

const flash = ofUnit(440, '/root/nvflash', 'ssh.service')
const command = { actor_kind: 'gpu_call', actor_action: 'FLASH' }
const image = 'file:/lib/firmware/nvidia/570.211.01/gsp_ga10x.bin'
const vbios = (at: number, subject: string, value: string) =>
  told(at, subject, 'vbios_version', value)
const wanted = '  - {subject: gpu, item: vbios_version, any_of: [96.00.9F.00.01, 96.00.A5.00.01]}\n'

const fires: Example[] = [
  {
    name: 'the VBIOS of two GPUs is another one',
    events: [vbios(0, gpu, '96.00.9F.00.01'), vbios(0, otherGpu, '96.00.9F.00.01'),
      changed(9000, gpu, 'vbios_version', ['96.00.9F.00.01', '96.00.74.00.01'], flash, command),
      changed(9900, otherGpu, 'vbios_version', ['96.00.9F.00.01', '96.00.74.00.01'], flash,
        command)],
    fires: ['96.00.9F.00.01 → 96.00.74.00.01, and 1 further item. Just before, /root/nvflash (pid '
      + '440, uid 0, workload ssh.service) did gpu_call FLASH.'],
  },
  {
    name: 'the file of a firmware version holds something else',
    events: [told(0, 'firmware', image, 'aa'), changed(1000, 'firmware', image, ['aa', 'bb'])],
    fires: ['of firmware: aa → bb. Nobody was seen who did it.'],
  },
  {
    name: 'firmware is searched in another folder first',
    events: [told(0, 'firmware', 'search_path', 'none'),
      changed(1000, 'firmware', 'search_path', ['none', '/tmp/fw'], flash)],
    fires: ['search_path of firmware: none → /tmp/fw'],
  },
  {
    name: 'a GPU of which the InfoROM is corrupt now',
    events: [told(0, gpu, 'inforom_valid', 'valid'),
      changed(1000, gpu, 'inforom_valid', ['valid', 'corrupt'])],
    fires: ['inforom_valid'],
  },
  {
    name: 'a GPU whose VBIOS the baseline does not name', policy: baselinePolicy,
    events: [baseline(0, wanted), vbios(10, gpu, '96.00.9F.00.01'),
      vbios(10, otherGpu, '96.00.74.00.01')],
    fires: ['96.00.74.00.01 (the baseline h100 wants 96.00.9F.00.01 or 96.00.A5.00.01)'],
  },
]

const quiet: Example[] = [
  {
    name: 'a GPU that the driver does not reach for a while',
    events: [vbios(0, gpu, '96.00.9F.00.01'), lost(1000, gpu, 'vbios_version', '96.00.9F.00.01'),
      changed(9000, gpu, 'vbios_version', ['96.00.9F.00.01', '96.00.9F.00.01'])],
    fires: [],
  },
  {
    name: 'new firmware in maintenance by an administrator', policy: gpuPolicy,
    events: [vbios(0, gpu, '96.00.9F.00.01'),
      changed(9000, gpu, 'vbios_version', ['96.00.9F.00.01', '96.00.A5.00.01'], maintainer)],
    fires: [],
  },
  {
    name: 'what the baseline wants cannot be known', policy: baselinePolicy,
    events: [baseline(0, wanted), lost(10, gpu, 'vbios_version', '')],
    fires: [],
  },
]

export const firmwareDriftExamples = { fires, quiet }
