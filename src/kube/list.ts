// A whole list in pages, where the server has no WatchList: all rows, and the version from which to watch.
//
// Pages of 500 with resourceVersion unset: a server ignores `limit` when it is 0, and the newest state is wanted. Pages expire after
// some minutes; then the list is asked for in one piece, which cannot. **Invariant:** the rows are those of one version;
// an item that cannot be read fails the list, since a list without it would delete the object.
import { setImmediate as turn } from 'node:timers/promises'
import { acceptOf, itemsOf, type Encoded } from './encodings.ts'
import { ApiFailure } from './failures.ts'
import type { Resource } from './resources.ts'
import { rowOf, versionOf, type Rows } from './rows.ts'
import type { RoleResource } from './statuses.ts'
import type { Transport } from './transport.ts'

const PAGE = 500
/** 10 million objects. */
const MOST_PAGES = 20_000

export interface List {
  readonly rows: Rows
  readonly version: string
}

/** What can be listed, whether it is decoded or not. */
export interface Listed extends RoleResource, Encoded {
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
}

interface Page {
  readonly version: string | null
  /** Empty at the end. */
  readonly next: string
}

/** ApiFailure where it cannot be read whole. `onRow`: after each. */
export async function readList(transport: Transport, resource: Resource, signal: AbortSignal, onRow: () => void = () => undefined): Promise<List> {
  let rows: Rows = new Map()
  const version = await eachItem(transport, resource, signal, () => {
    rows = new Map()
    return (item) => {
      const { key, decoded } = rowOf(item, resource)
      rows.set(key, decoded)
      onRow()
    }
  })
  return { rows, version }
}

/**
 * Gives every item of a list to what `begin` returns, and resolves to the list's version. Where the list is begun anew, so
 * is `begin` called. ApiFailure where it cannot be read whole.
 */
export async function eachItem(transport: Transport, listed: Listed, signal: AbortSignal, begin: () => (item: unknown) => void): Promise<string> {
  try {
    return await readPages(transport, listed, String(PAGE), signal, begin())
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.code !== 'Gone') throw error
    return readPages(transport, listed, null, signal, begin())
  }
}

async function readPages(transport: Transport, resource: Listed, limit: string | null, signal: AbortSignal, take: (item: unknown) => void): Promise<string> {
  let next = ''
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const query = { ...resource.query, ...(limit === null ? {} : { limit }), ...(next === '' ? {} : { continue: next }) }
    const read = await readPage(transport, resource, query, take, signal)
    if (read.version === null) throw new ApiFailure('Garbage', `a list of ${resource.plural} without a resourceVersion was sent`)
    if (read.next === '') return read.version
    next = read.next
    await turn()
  }
  throw new ApiFailure('TooLarge', `the list of ${resource.plural} has not ended after ${MOST_PAGES} pages`)
}

async function readPage(
  transport: Transport,
  resource: Listed,
  query: Readonly<Record<string, string>>,
  take: (item: unknown) => void,
  signal: AbortSignal,
): Promise<Page> {
  const { body, contentType } = await transport.get({ verb: 'list', resource, path: resource.path, query, accept: acceptOf(resource, 'list') }, signal)
  const items = itemsOf(resource, contentType)
  for await (const portion of body) {
    for (const item of items.push(portion)) take(item)
  }
  const list = items.end()
  const { metadata } = list as { readonly metadata?: { readonly continue?: unknown } | null }
  const next = metadata?.continue
  return { version: versionOf(list), next: typeof next === 'string' ? next : '' }
}
