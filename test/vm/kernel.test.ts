import { expect, test } from 'vitest'
import { ensureKernel, packageBehind } from './kernel.ts'

test('the meta package names the newest kernel package', () => {
  const text = 'linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n'
  expect(packageBehind('linux-image-amd64', text)).toBe('linux-image-6.1.0-56-amd64')
})

test('a backported kernel keeps the whole of its release', () => {
  const text = 'linux-image-6.12-amd64\n  Depends: linux-image-6.12.117+deb12-amd64\n'
  expect(packageBehind('linux-image-6.12-amd64', text)).toBe('linux-image-6.12.117+deb12-amd64')
})

test('an apt that knows no kernel is an error that says what to do', () => {
  expect(() => packageBehind('linux-image-amd64', '')).toThrow(/apt-get update/)
  expect(() => packageBehind('linux-image-amd64', 'x\n  Depends: linux-headers-6.1\n')).toThrow()
})

test('an unknown series is refused before anything is fetched', () => {
  expect(() => ensureKernel('/nowhere', '2.6')).toThrow(/use one of: 6.1, 6.12/)
})
