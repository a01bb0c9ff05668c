import { describe, expect, it } from 'vitest'
import { policyDigest } from './digest.ts'

describe('the policy digest', () => {
  it('is what sha256sum prints for the same bytes', () => {
    expect(policyDigest(''))
      .toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(policyDigest('abc'))
      .toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })

  it('changes with a comment or a line ending, because nothing is normalised', () => {
    expect(policyDigest('version: 1\n')).not.toBe(policyDigest('version: 1\r\n'))
    expect(policyDigest('version: 1\n')).not.toBe(policyDigest('version: 1 # new\n'))
  })
})
