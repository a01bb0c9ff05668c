// The lines of the kernel log in which NVIDIA's drivers tell of errors. Pure.
//
// Formats: NVIDIA open-gpu-kernel-modules, kernel_rc.c, nv.c and linux_nvswitch.c, in the branches
// from 515 to 595, and the older one without "PCI:".

/** An error as a line tells of it. */
export interface XidLine {
  /** Such as '0000:1b:00.0'. */
  pci_address: string
  xid: number
  /** Everything behind the number. Names in it are those of processes: they choose them. */
  text: string
  /** 0 when no process is named. */
  xid_pid: number
  gpu_instance?: string
  compute_instance?: string
  /** It is an SXid, of an NVSwitch. */
  is_switch: boolean
  /** Of an Xid 45: the one that caused it; 0 when none is named. */
  previous_xid: number
}

const address = '(?:PCI:)?([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\\.[0-7])?)'
const instances = '(?: GPU-I:(\\d{1,3}))?(?: GPU-CI:(\\d{1,3}))?'
/** Only what is in front of the text is taken as true, and it stands where nobody else writes. */
const ofGpu = new RegExp(`^NVRM: Xid \\(${address}${instances}\\): (\\d{1,6}), (.*)$`, 's')
const ofSwitch =
  new RegExp(`^nvidia-nvswitch\\d{1,3}: SXid \\(${address}\\): (\\d{1,6}), (.*)$`, 's')
const namedPid = /^pid='?(\d{1,10})'?, name=/
const cause = / caused by previous Xid (\d{1,6})\s*$/
const textCharsMax = 512
const pidMax = 2 ** 22
const preemptiveRemoval = 45

/** The error that a line of the kernel tells of; undefined when it is another line. */
export function parseXidLine(line: string): XidLine | undefined {
  const gpu = ofGpu.exec(line)
  const found = gpu ?? ofSwitch.exec(line)
  if (!found) return undefined
  const [, bus, gi, ci] = found
  const [number, text] = found.slice(-2)
  const xid = Number(number)
  const pid = Number(gpu ? namedPid.exec(text)?.[1] ?? 0 : 0)
  const previous = gpu && xid === preemptiveRemoval ? cause.exec(text)?.[1] : undefined
  return {
    pci_address: wholeAddress(bus), xid, text: text.slice(0, textCharsMax),
    xid_pid: pid <= pidMax ? pid : 0, is_switch: !gpu, previous_xid: Number(previous ?? 0),
    ...(gpu && gi !== undefined && { gpu_instance: gi }),
    ...(gpu && ci !== undefined && { compute_instance: ci }),
  }
}

/** As sysfs writes it: four digits of domain where they do, and a function. */
function wholeAddress(text: string): string {
  const [domain, ...rest] = text.toLowerCase().split(':')
  const short = domain.replace(/^0+(?=.{4})/, '')
  const whole = [short, ...rest].join(':')
  return whole.includes('.') ? whole : `${whole}.0`
}
