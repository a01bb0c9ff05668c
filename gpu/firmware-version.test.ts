import { describe, expect, it } from 'vitest'
import { firmwareVersion } from './firmware-version.ts'
import { gspImage } from './sample/gsp-image.ts'

const reader = (file: Uint8Array) => (offset: number, bytes: number): Uint8Array =>
  file.subarray(Math.min(offset, file.length), Math.min(offset + bytes, file.length))
const versionOf = (file: Uint8Array): string | undefined => firmwareVersion(reader(file))

describe('the version of a firmware image', () => {
  it('is what its section says', () => {
    expect(versionOf(gspImage('570.211.01'))).toBe('570.211.01')
    expect(versionOf(gspImage('1'))).toBe('1')
  })

  it('is not known of what is no such image: text, a compressed file, an ELF file without it', () => {
    expect(versionOf(Buffer.from('570.211.01'))).toBeUndefined()
    expect(versionOf(Buffer.alloc(0))).toBeUndefined()
    expect(versionOf(Buffer.from('fd377a585a000004', 'hex'))).toBeUndefined()
    expect(versionOf(gspImage('1.2', '.other'))).toBeUndefined()
  })

  it('is not believed when it is no version', () => {
    for (const text of ['', '1.2\n', 'a b', '<x>', '1\x1b[31m', 'x'.repeat(64), 'é']) {
      expect(versionOf(gspImage(text)), JSON.stringify(text)).toBeUndefined()
    }
  })

  it('costs few reads and never more than they are worth, however the file is broken', () => {
    const good = gspImage('570.211.01')
    let seed = 7
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return Math.floor(seed / 4294967296 * below)
    }
    let known = 0
    for (let round = 0; round < 20_000; round++) {
      const file = Buffer.from(good)
      for (let i = 0; i <= random(6); i++) file[random(file.length)] = random(256)
      const cut = random(4) === 0 ? file.subarray(0, random(file.length)) : file
      let reads = 0
      let bytes = 0
      const version = firmwareVersion((offset, wanted) => {
        reads++
        bytes += wanted
        return reader(cut)(offset, wanted)
      })
      expect(reads).toBeLessThanOrEqual(4)
      expect(bytes).toBeLessThanOrEqual(33 * 1024)
      if (version !== undefined) {
        known++
        expect(version).toMatch(/^[\w.-]{1,63}$/)
      }
    }
    // Most changes are in what nobody looks at.
    expect(known).toBeGreaterThan(1000)
  })
})
