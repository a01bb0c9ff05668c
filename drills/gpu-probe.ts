import { execFile } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { DrillError } from './drill.ts'
import type { Drill, DrillContext } from './drill.ts'

const DEVICE = '/dev/nvidiactl'
/** Nobody, in every distribution. */
const NOBODY = 65_534
/**
 * RM_CONTROL with NVD_GET_NVLOG, a read of the driver's own log that needs CAP_SYS_ADMIN, of client
 * 0, which does not exist, with no parameters: there are three reasons to refuse it, and nothing
 * would be changed. Numbers: NVIDIA open-gpu-kernel-modules, nv_escape.h, ctrl0000nvd.h.
 */
const SCRIPT = `
open(my $device, '+<', $ARGV[0]) or do { print "closed $!"; exit 0 };
my $arguments = pack('V4QV2', 0, 0, 0x606, 0, 0, 0, 0);
my $taken = ioctl($device, 0xc020462a, $arguments);
print defined $taken ? 'status ' . (unpack('V8', $arguments))[7] : "error $!";
`

/** A process without a privilege asks the GPU driver for what only root gets. */
export const gpuProbe: Drill = {
  name: 'gpu-probe',
  title: 'A privileged command to the GPU driver, from a process without the privilege',
  raises: 'GPU-011',
  attack: ['T1068'],
  safe: 'The command would only read a log of the driver; it names a client that does not exist, ' +
    'and is given as the user nobody, so that the driver refuses it.',
  needs: ['root', 'perl', DEVICE],
  async run({ say, signal }) {
    if (process.getuid?.() !== 0) {
      throw new DrillError('the drill acts as the user nobody and needs root: run it with sudo')
    }
    if (!statSync(DEVICE, { throwIfNoEntry: false })?.isCharacterDevice()) {
      throw new DrillError(`this machine has no ${DEVICE}: there is no driver of NVIDIA GPUs`)
    }
    accessSync(DEVICE, constants.R_OK)
    signal.throwIfAborted()
    const { pid, answer } = await asNobody(signal)
    if (answer.startsWith('closed')) {
      throw new DrillError(`the user nobody may not open ${DEVICE} (${answer.slice(7)}): it ` +
        'cannot ask the driver for anything, and there is nothing to see')
    }
    say(`process ${pid}, user nobody, asked the driver for its log; the answer: ${answer}`)
    return { zones: [], done: { device: DEVICE, command: 'NVD_GET_NVLOG', probe_pid: pid, answer } }
  },
}

async function asNobody(
  signal: DrillContext['signal'],
): Promise<{ pid: number, answer: string }> {
  return new Promise((resolve, reject) => {
    const child = execFile('perl', ['-e', SCRIPT, DEVICE],
      { uid: NOBODY, gid: NOBODY, cwd: '/', signal, timeout: 30_000 },
      (error, stdout, stderr) => {
        if (error === null) resolve({ pid: child.pid ?? 0, answer: stdout })
        else {
          reject(new DrillError(`perl, which gives the command, failed: ${
            stderr.trim() || error.message}`, { cause: error }))
        }
      })
  })
}
