// For tests: a reference integrity manifest signed by an authority of our own.
import { createHash, sign, type KeyLike } from 'node:crypto'
import { C14nCanonicalization, SignedXml } from 'xml-crypto'
import type { SampleAuthority } from './evidence.ts'

const C14N_11 = 'http://www.w3.org/2006/12/xml-c14n11'
const ECDSA_SHA384 = 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384'
const SHA384 = 'http://www.w3.org/2001/04/xmldsig-more#sha384'
const SWID = 'http://standards.iso.org/iso/19770/-2/2015/schema.xsd'

/** As the files of NVIDIA are laid out; `golden` are active measurements, index → digests. */
export function makeRim(authority: SampleAuthority, version: string,
  golden: ReadonlyMap<number, readonly string[]>): string {
  const resources = [...golden].map(([index, values]) => {
    const hashes = values.map((value, i) => `h:Hash${i}="${value}"`).join(' ')
    return `<s:Resource type="Measurement" index="${index}" active="True" ` +
      `alternatives="${values.length}" ${hashes} name="Measurement_${index}" size="48"/>`
  })
  const xml = `<SoftwareIdentity xmlns="${SWID}" xmlns:s="${SWID}" ` +
    'xmlns:h="http://www.w3.org/2001/04/xmlenc#sha384" name="GH100" tagId="t" version="1.0">' +
    `<s:Meta colloquialVersion="${version}" edition="GPU" product="GH100"/><s:Payload>` +
    '<s:Resource type="Measurement" index="0" active="False" alternatives="1" h:Hash0="00"/>' +
    `${resources.join('')}</s:Payload></SoftwareIdentity>`
  const signer = new SignedXml({
    privateKey: authority.leafKey,
    publicCert: authority.chain.split(/(?<=-----END CERTIFICATE-----\n)/)[0],
    canonicalizationAlgorithm: C14N_11 as never,
    signatureAlgorithm: ECDSA_SHA384 as never,
  })
  signer.CanonicalizationAlgorithms[C14N_11 as never] = Canonical11 as never
  signer.HashAlgorithms[SHA384 as never] = Sha384 as never
  signer.SignatureAlgorithms[ECDSA_SHA384 as never] = Ecdsa as never
  signer.addReference({
    xpath: '/*', isEmptyUri: true, uri: '',
    transforms: ['http://www.w3.org/2000/09/xmldsig#enveloped-signature', C14N_11],
    digestAlgorithm: SHA384,
  })
  signer.computeSignature(xml, { prefix: 'ds' })
  return signer.getSignedXml()
}

class Canonical11 extends C14nCanonicalization {
  override getAlgorithmName(): never {
    return C14N_11 as never
  }
}

class Sha384 {
  getAlgorithmName(): string {
    return SHA384
  }

  getHash(xml: string): string {
    return createHash('sha384').update(xml).digest('base64')
  }
}

class Ecdsa {
  getAlgorithmName(): string {
    return ECDSA_SHA384
  }

  getSignature(text: string, key: KeyLike): string {
    return sign('sha384', Buffer.from(text), { key: key as never, dsaEncoding: 'ieee-p1363' })
      .toString('base64')
  }

  verifySignature(): never {
    throw new Error('only signs')
  }
}
