// Feeds rows into an inbox as a source would: the few lines that every test of the store's readers needs.
//
// **Invariant:** rows are pushed as good events, in the order of the calls.
import { KINDS, type Kind, type RowOf, type SourceEvent } from '../../src/model/changes.ts'

export interface Feed {
  push(event: SourceEvent): void
}

export function keyOf(kind: Kind, row: RowOf[Kind]): string {
  return kind === 'interface' ? String((row as RowOf['interface']).index) : (row as RowOf['pod']).uid
}

export function upsert<K extends Kind>(feed: Feed, kind: K, ...rows: RowOf[K][]): void {
  for (const row of rows) feed.push({ verb: 'upsert', kind, key: keyOf(kind, row), decoded: { kind: 'good', row, problems: [] } } as SourceEvent)
}

export function remove<K extends Kind>(feed: Feed, kind: K, ...rows: RowOf[K][]): void {
  for (const row of rows) feed.push({ verb: 'delete', kind, key: keyOf(kind, row) } as SourceEvent)
}

export function syncAll(feed: Feed): void {
  for (const kind of KINDS) feed.push({ verb: 'synced', kind })
}
