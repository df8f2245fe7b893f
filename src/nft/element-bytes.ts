// Elements as nft text -> the bytes that the kernel compares and keeps, by the declaration of their set or map.
//
//   `10.0.0.1 . tcp . 80` of [ip daddr, meta l4proto, th dport] -> 0a000001 06000000 00500000
//
// A single part has its own width; of several, each is padded to 4 bytes.
// **Invariant:** what comes out is what nft would write; null where that is not certain, for a set or for one element.
import type { Element, NftMap, NftSet } from './objects.ts'
import { partTypeOf, type PartType } from './part-bytes.ts'
import { leadsToCounters, typeOf } from './types.ts'

export type Verdict = 'accept' | 'drop' | 'continue' | 'return' | 'goto' | 'jump'

export type ValueBytes =
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'verdict'; readonly verdict: Verdict; readonly chain: string | null }
  | { readonly kind: 'counter'; readonly name: string }

export interface ElementBytes {
  readonly key: Uint8Array
  /** Of sets with intervals: the last key, also where the element is only one. */
  readonly last: Uint8Array | null
  /** Of maps, where it was asked for. */
  readonly value: ValueBytes | null
}

interface Layout {
  readonly parts: readonly PartType[]
  readonly width: number
}

/** `withValues`: of a map's elements; to delete one its key is enough. */
export function elementBytes(set: NftSet | NftMap, elements: readonly Element[], withValues: boolean): readonly ElementBytes[] | null {
  const key = layoutOf(set.key)
  if (key === null) return null
  const isInterval = set.flags.includes('interval')
  // Whether the host's numbers are turned around, and how, differs between versions of nft.
  if (isInterval && key.parts.some(({ isHosts }) => isHosts)) return null
  const valueOf = !withValues || set.kind === 'set' ? null : valuesOf(set)
  if (withValues && set.kind === 'map' && valueOf === null) return null
  const all: ElementBytes[] = []
  for (const element of elements) {
    const range = isInterval ? rangeBytes(key, element.key) : onlyKey(key, element.key)
    if (range === null) return null
    if (valueOf === null) {
      if (withValues && element.value !== undefined) return null
      all.push({ ...range, value: null })
      continue
    }
    const value = valueOf(element.value ?? '')
    if (value === null) return null
    all.push({ ...range, value })
  }
  return all
}

function layoutOf(expressions: readonly string[]): Layout | null {
  const parts: PartType[] = []
  for (const expression of expressions) {
    const part = partTypeOf(typeOf(expression))
    if (part === null) return null
    parts.push(part)
  }
  const [only] = parts
  if (only === undefined) return null
  return { parts, width: parts.length === 1 ? only.width : parts.reduce((sum, { width }) => sum + padded(width), 0) }
}

function padded(width: number): number {
  return (width + 3) & ~3
}

/** One value for each part; null where one of them has another form. */
function partsBytes({ parts, width }: Layout, texts: readonly string[]): Uint8Array | null {
  if (texts.length !== parts.length) return null
  const bytes = new Uint8Array(width)
  let at = 0
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as PartType
    if (!part.write(texts[i] as string, bytes, at)) return null
    at += padded(part.width)
  }
  return bytes
}

function onlyKey(layout: Layout, text: string): Pick<ElementBytes, 'key' | 'last'> | null {
  const key = partsBytes(layout, text.split(' . '))
  return key === null ? null : { key, last: null }
}

/** `10.0.0.4-10.0.0.7 . sctp . 1-65535`: the first of each part, and the last. */
function rangeBytes(layout: Layout, text: string): Pick<ElementBytes, 'key' | 'last'> | null {
  const ends = text.split(' . ').map((part, i) => {
    const at = layout.parts[i]?.isOrdered === true ? part.indexOf('-') : -1
    return at < 0 ? [part, part] : [part.slice(0, at), part.slice(at + 1)]
  })
  const key = partsBytes(layout, ends.map(([first]) => first as string))
  const last = partsBytes(layout, ends.map(([, end]) => end as string))
  if (key === null || last === null) return null
  let at = 0
  for (const { width } of layout.parts) {
    if (Buffer.compare(key.subarray(at, at + width), last.subarray(at, at + width)) > 0) return null
    at += padded(width)
  }
  return { key, last }
}

/** What makes bytes of the values of a map; null where its data is of a type that is not known. */
function valuesOf(map: NftMap): ((text: string) => ValueBytes | null) | null {
  if (map.data.length === 1 && map.data[0] === 'verdict') return verdictOf
  if (leadsToCounters(map)) return (name) => ({ kind: 'counter', name })
  const layout = layoutOf(map.data)
  if (layout === null) return null
  return (text) => {
    const bytes = partsBytes(layout, text.split(' . '))
    return bytes === null ? null : { kind: 'data', bytes }
  }
}

function verdictOf(text: string): ValueBytes | null {
  const match = /^(accept|drop|continue|return)$|^(goto|jump) ([^ ]+)$/.exec(text)
  if (match === null) return null
  return { kind: 'verdict', verdict: (match[1] ?? match[2]) as Verdict, chain: match[3] ?? null }
}
