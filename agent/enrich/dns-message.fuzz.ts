/**
 * Makes DNS messages at random, from a seed: sound ones, damaged ones and noise. Checks what must
 * hold: no crash, no endless loop, nothing longer than the fields of the event.
 */
import { addressesOf, messageOf } from './sample-dns.ts'
import { readDnsAnswer } from './dns-message.ts'

const nameTextMax = 256
const addressesMax = 64

/** A generator of numbers in [0, 1), the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Runs `rounds` rounds; throws an Error with seed and message of the first failure. */
export function fuzzDns({ seed, rounds }: { seed: number, rounds: number }): void {
  const random = randomFrom(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  for (let round = 0; round < rounds; round++) {
    const message = messageOf({
      name: `host${below(1000)}.example`, addresses: addressesOf(below(80)),
      aliases: below(3) === 0 ? ['a.example', 'b.example'] : [],
    })
    // Most damage near the start, where lengths and pointers are.
    for (let times = below(12); times > 0; times--) {
      message[below(random() < 0.7 ? Math.min(90, message.length) : message.length)] =
        random() < 0.4 ? 0xc0 | below(64) : below(256)
    }
    const cut = message.subarray(0, random() < 0.3 ? below(message.length + 1) : message.length)
    checkOne(seed, cut)
  }
}

function checkOne(seed: number, message: Uint8Array): void {
  const hex = Buffer.from(message).toString('hex')
  try {
    const { name, addresses, ttl_s: ttlS, response_code: code } = readDnsAnswer(message)
    if (name.length > nameTextMax) throw new Error(`a name of ${name.length}`)
    if (!/^[a-z0-9_.\\-]*$/.test(name)) throw new Error(`unescaped: ${JSON.stringify(name)}`)
    if (addresses.length > addressesMax) throw new Error(`${addresses.length} addresses`)
    if (!(ttlS >= 0 && ttlS < 2 ** 31) || code > 15) throw new Error(`ttl ${ttlS}, code ${code}`)
  } catch (error) {
    throw new Error(`seed ${seed}: ${hex}`, { cause: error })
  }
}
