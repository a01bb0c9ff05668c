import { describe, expect, it } from 'vitest'
import type { LineageProcess } from '../../detect/lineage.ts'
import { temporaryPlace } from './temporary-place.ts'

const process = (...args: string[]) =>
  ({ exe: `/usr/bin/${args[0]}`, comm: args[0], args: args.join('\0') }) as LineageProcess
const place = (args: string[], parent: string[] | null = null, source = '/data/w/part-1') =>
  temporaryPlace(process(...args), parent === null ? null : process(...parent), source)

describe('temporary space in the arguments of a program', () => {
  it('is found behind blanks, options, equal signs, and in a line of an interpreter', () => {
    expect(place(['tar', '-czf', '/tmp/x.tgz', '/data/w'])).toBe('/tmp/x.tgz')
    expect(place(['tar', '-cf/tmp/x.tar', '/data/w'])).toBe('/tmp/x.tar')
    expect(place(['dd', 'if=/data/w/a', 'of=/dev/shm/a'])).toBe('/dev/shm/a')
    expect(place(['python3', '-c', "open('/home/eve/w', 'wb').write(open('/data/w/a').read())"])).toBe('/home/eve/w')
    expect(place(['cp', '-r', '/data/w', '/var/tmp/'])).toBe('/var/tmp/')
  })

  it('is found behind a redirection of the shell that started it, and only there', () => {
    expect(place(['tar', 'c', '/data/w'], ['bash', '-c', "tar c /data/w | gzip > '/tmp/x y"])).toBe('/tmp/x')
    expect(place(['tar', 'c', '/data/w'], ['sh', '-c', 'tar c /data/w | tee -a /root/x'])).toBe('/root/x')
    expect(place(['tar', 'c', '/data/w'], ['bash', '/tmp/script.sh'])).toBe('')
    expect(place(['tar', 'c', '/data/w'], ['sshd', '>/tmp/x'])).toBe('')
  })

  it('is not what is read, what lies beside it, or the program itself', () => {
    expect(place(['cp', '/tmp/w/part-1', '/tmp/w/part-2', '/srv/'], null, '/tmp/w/part-1')).toBe('')
    expect(place(['tar', 'c', '/tmp/w/*'], null, '/tmp/w/part-1')).toBe('')
    expect(place(['cp', '-r', '/tmp/w', '/tmp/copy'], null, '/tmp/w/part-1')).toBe('/tmp/copy')
    expect(place(['/tmp/tar', 'c', '/data/w'])).toBe('')
    expect(place(['cp', '/data/w/a', '/data/tmp/a'])).toBe('')
  })
})
