// The texts of /proc/driver/nvidia (nv-procfs.c of NVIDIA open-gpu-kernel-modules).

/** What the driver says that it is. */
export interface DriverVersion {
  /** Such as '570.211.01'. */
  version: string
  flavour: 'open' | 'proprietary'
}

const linesMax = 512
const nameCharsMax = 64

/** Of the file `version`; undefined when it is none. Builder and date may be missing. */
export function parseDriverVersion(text: string): DriverVersion | undefined {
  const line = /^NVRM version:(.*)$/m.exec(text)?.[1]
  const version = /Kernel Module(?: for \S+)?\s+(\d+\.\d+(?:\.\d+)?)(?:\s|$)/.exec(line ?? '')?.[1]
  if (line === undefined || version === undefined) return undefined
  return { version, flavour: /\bOpen Kernel Module\b/.test(line) ? 'open' : 'proprietary' }
}

/**
 * Of the files `params`, `registry` and `information`: names and values of lines `Name: value`, in
 * their order. Names that nobody knows stay; a line that is none is left out, and so is the last
 * one when it has no end, as it may be cut.
 */
export function parseNamedLines(text: string): [name: string, value: string][] {
  const lines = text.split('\n').slice(0, -1).slice(0, linesMax)
  return lines.flatMap((line) => {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim()
    if (colon < 1 || name.length > nameCharsMax) return []
    return [[name, unquoted(line.slice(colon + 1).trim())] as [string, string]]
  })
}

function unquoted(value: string): string {
  return /^".*"$/.test(value) && value.length > 2 ? value.slice(1, -1) : value
}
