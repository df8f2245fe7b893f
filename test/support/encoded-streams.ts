// Objects of one resource as the API server sends them, in either encoding, cut anywhere -> the rows of the real path, from bytes on.
//
// **Invariant:** JSON is written as Go writes it: what is empty there is left out, or is not.
import { eventsOf, itemsOf } from '../../src/kube/encodings.ts'
import type { Resource } from '../../src/kube/resources.ts'
import { rowOf, versionOf, type KeyedRow } from '../../src/kube/rows.ts'

/** Fields that Go writes although they are empty. */
const ALWAYS: ReadonlySet<string> = new Set(['ip', 'ipMode', 'addressType'])
/** Fields that Go leaves out where they are 0. */
const UNLESS_ZERO: ReadonlySet<string> = new Set(['nodePort', 'healthCheckNodePort'])

/** As Go writes it: empty texts are left out, but for the values of maps and some fields. */
export function asJson(object: unknown): string {
  const maps = new Set<unknown>()
  return JSON.stringify(object, function (this: unknown, key, value: unknown) {
    if (key === 'labels' || key === 'annotations') maps.add(value)
    if (value === 0 && UNLESS_ZERO.has(key)) return undefined
    return value === '' && !ALWAYS.has(key) && !maps.has(this) && !Array.isArray(this) ? undefined : value
  })
}

export function cut(bytes: Buffer, sizes: readonly number[]): readonly Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const end = at + (sizes[i % sizes.length] as number)
    parts.push(bytes.subarray(at, end))
    at = end
  }
  return parts
}

export type Taken = KeyedRow & { readonly version: string | null }

export interface EncodedStreams {
  readonly watched: (parts: readonly Buffer[], contentType: string) => readonly { readonly type: unknown; readonly row: Taken }[]
  readonly listed: (parts: readonly Buffer[], contentType: string) => { readonly rows: readonly Taken[]; readonly list: unknown }
}

export function streamsOf(resource: Resource): EncodedStreams {
  const taken = (object: unknown): Taken => ({ ...rowOf(object, resource), version: versionOf(object) })
  return {
    watched: (parts, contentType) => {
      const stream = eventsOf(resource, contentType)
      return parts.flatMap((part) => [...stream.push(part)].map(({ type, object }) => ({ type, row: taken(object) })))
    },
    listed: (parts, contentType) => {
      const stream = itemsOf(resource, contentType)
      const rows = parts.flatMap((part) => [...stream.push(part)].map(taken))
      const { metadata } = stream.end() as { readonly metadata: unknown }
      return { rows, list: metadata }
    },
  }
}
