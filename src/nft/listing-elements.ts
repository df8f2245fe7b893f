// Elements as nft lists them in JSON -> elements in the form of objects.ts.
//
// Prefixes become ranges, protocols get their names back, names of interfaces their quotes; when an element expires and
// what it counted is left out. **Invariant:** an element that was written and read back has the key it was written with.
import ipaddr from 'ipaddr.js'
import type { Element, NftMap, NftSet } from './objects.ts'
import { PROTOCOLS } from './protocols.ts'
import { typeOf } from './types.ts'
import { checkKey, checkName, checkValue } from './validate.ts'

type Json = Readonly<Record<string, unknown>>

/** Throws an Error that names the element, where its shape is not known. */
export function elementsOf(set: NftSet | NftMap, listed: readonly unknown[]): Map<string, Element> {
  const object = `${set.kind} ${set.name}`
  const types = set.key.map(typeOf)
  const dataTypes = set.kind === 'map' ? set.data.map(typeOf) : []
  const elements = new Map<string, Element>()
  for (const entry of listed) {
    const [key, value] = set.kind === 'map' && Array.isArray(entry) ? [entry[0], entry[1]] : [entry, undefined]
    const text = partsText(unwrapped(key), types)
    checkKey(object, text)
    if (set.kind === 'set') {
      elements.set(text, { key: text })
      continue
    }
    const data = dataTypes[0] === 'counter' ? counterText(value) : dataTypes[0] === 'verdict' ? verdictText(value) : partsText(unwrapped(value), dataTypes)
    if (dataTypes[0] !== 'counter') checkValue(object, data)
    elements.set(text, { key: text, value: data })
  }
  return elements
}

/** `{"elem": {"val": X, "expires": 59}}` is X. */
function unwrapped(listed: unknown): unknown {
  const inner = isObject(listed) ? listed['elem'] : undefined
  return isObject(inner) ? inner['val'] : listed
}

function partsText(listed: unknown, types: readonly string[]): string {
  const parts = isObject(listed) && Array.isArray(listed['concat']) ? (listed['concat'] as unknown[]) : [listed]
  if (parts.length !== types.length) throw unknown(listed)
  return parts.map((part, i) => partText(part, types[i] as string)).join(' . ')
}

function partText(part: unknown, type: string): string {
  if (typeof part === 'string') return wordText(part, type)
  if (typeof part === 'number') return type === 'inet_proto' ? (PROTOCOLS[part] ?? String(part)) : String(part)
  if (!isObject(part)) throw unknown(part)
  if (Array.isArray(part['range']) && part['range'].length === 2) return part['range'].map((end) => partText(end, type)).join('-')
  const prefix = part['prefix']
  if (isObject(prefix) && typeof prefix['addr'] === 'string' && typeof prefix['len'] === 'number') return prefixText(prefix['addr'], prefix['len'])
  throw unknown(part)
}

function wordText(word: string, type: string): string {
  if (type === 'ifname') return `"${word}"`
  // Mapped addresses only: everything else nft writes as RFC 5952 wants it.
  if (type === 'ipv6_addr' && word.includes('.')) return ipaddr.IPv6.parse(word).toRFC5952String()
  return word.toLowerCase()
}

/** The range that a prefix stands for; a prefix of full length is one address. */
function prefixText(address: string, length: number): string {
  const text = `${address}/${length}`
  if (!address.includes(':')) {
    if (length === 32) return address
    return `${ipaddr.IPv4.networkAddressFromCIDR(text).toString()}-${ipaddr.IPv4.broadcastAddressFromCIDR(text).toString()}`
  }
  const first = ipaddr.IPv6.networkAddressFromCIDR(text).toRFC5952String()
  return length === 128 ? first : `${first}-${ipaddr.IPv6.broadcastAddressFromCIDR(text).toRFC5952String()}`
}

function verdictText(value: unknown): string {
  if (!isObject(value)) throw unknown(value)
  for (const word of ['accept', 'drop', 'continue', 'return']) if (word in value) return word
  for (const word of ['goto', 'jump']) {
    const target = value[word]
    if (isObject(target) && typeof target['target'] === 'string') return `${word} ${target['target']}`
  }
  throw unknown(value)
}

function counterText(value: unknown): string {
  if (typeof value !== 'string') throw unknown(value)
  checkName('counter', value)
  return value
}

function unknown(listed: unknown): Error {
  return new Error(`an element of a shape that this version does not know: ${JSON.stringify(listed)}`)
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
