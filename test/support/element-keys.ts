// Keys of elements between the kernel's bytes and nft's text, by the words of a set's type; for the fake kernel.
//
// **Invariant:** a word that is not known here is an error, never a wrong key.
import { bitsOf, familyOf, fromBits, toBits } from '../../src/model/ip.ts'

const PROTOCOLS = new Map([['tcp', 6], ['udp', 17], ['sctp', 132]])

interface Part {
  readonly width: number
  readonly text: (bytes: Buffer) => string
  readonly write: (text: string, bytes: Buffer) => void
}

function address(width: 4 | 16): Part {
  const family = width === 4 ? 4 : 6
  return {
    width,
    text: (bytes) => fromBits(family, BigInt(`0x${bytes.toString('hex')}`)),
    write: (text, bytes) => {
      if (bitsOf(familyOf(text)) !== width * 8) throw new Error(`${text} is of another family`)
      bytes.write(toBits(text).toString(16).padStart(width * 2, '0'), 'hex')
    },
  }
}

const PROTOCOL: Part = {
  width: 4,
  text: (bytes) => [...PROTOCOLS].find(([, number]) => number === bytes[0])?.[0] ?? String(bytes[0]),
  write: (text, bytes) => void bytes.writeUInt8(PROTOCOLS.get(text) ?? Number(text)),
}
const PORT: Part = { width: 4, text: (bytes) => String(bytes.readUInt16BE()), write: (text, bytes) => void bytes.writeUInt16BE(Number(text)) }

function partOf(word: string): Part {
  if (/^ip [sd]addr$/.test(word)) return address(4)
  if (/^ip6 [sd]addr$/.test(word)) return address(16)
  if (word === 'meta l4proto') return PROTOCOL
  if (/^th [sd]port$/.test(word)) return PORT
  throw new Error(`no form of '${word}' is known`)
}

/** `words`: the key of an NftSet. */
export function keyText(words: readonly string[], key: Uint8Array): string {
  const bytes = Buffer.from(key)
  let at = 0
  return words.map((word) => {
    const { width, text } = partOf(word)
    at += width
    return text(bytes.subarray(at - width, at))
  }).join(' . ')
}

export function keyBytes(words: readonly string[], text: string): Uint8Array {
  return Buffer.concat(text.split(' . ').map((value, i) => {
    const { width, write } = partOf(words[i] as string)
    const bytes = Buffer.alloc(width)
    write(value, bytes)
    return bytes
  }))
}
