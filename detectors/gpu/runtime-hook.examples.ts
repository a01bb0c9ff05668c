/** Examples of GPU-013: two lists, those that fire and those that stay quiet. */
import type { Example, ExampleEvent } from '../../detect/detector.ts'
import type { RuntimeHook } from '../../proto/gen/events.ts'
import { ofUnit } from './example-actors.ts'

const hook = (at_ms: number, values: Partial<RuntimeHook>): ExampleEvent => ({
  kind: 'runtime_hook', at_ms, values,
  process: ofUnit(700, '/usr/bin/nvidia-ctk', 'containerd.service'),
})

const fires: Example[] = [
  {
    name: 'an image whose environment has LD_PRELOAD (CVE-2025-23266)',
    events: [hook(0, { variable: 'LD_PRELOAD', value: '/proc/self/cwd/evil.so' }),
      hook(1, { value: '/evil.so', inode: 77n, device: 9, fs_magic: 0x794c7630 })],
    fires: ['was started with LD_PRELOAD=/proc/self/cwd/evil.so', 'mapped /evil.so'],
  },
  {
    name: 'a search path of libraries inside of the image',
    events: [hook(0, { variable: 'LD_LIBRARY_PATH', value: '/usr/lib:/proc/self/cwd' })],
    fires: ['look for its libraries in /usr/lib:/proc/self/cwd'],
  },
  {
    name: 'an environment that is larger than anybody reads',
    events: [hook(0, { environment_cut: true })],
    fires: ['was started with more variables than were read'],
  },
]

const staysQuiet: Example[] = [
  {
    name: 'the wrapper of the GPU operator, which names the toolkit\'s own libraries',
    events: [hook(0, { variable: 'LD_LIBRARY_PATH', value: '/usr/local/nvidia/toolkit' })],
    fires: [],
  },
  {
    name: 'a search path of the system',
    events: [hook(0, { variable: 'LD_LIBRARY_PATH', value: '/usr/lib64:/usr/lib/nvidia' })],
    fires: [],
  },
]

export const runtimeHookExamples = [fires, staysQuiet] as const
