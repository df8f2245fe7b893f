// The documents of one file -> the objects in it, lists unfolded, and the problems with what could not be read.
//
// **Invariant:** `damaged` is true where any part of the file that may hold an object could not be read: then what the
// file does not say any more is not known to be gone.
import type { Problem } from '../lib/problem.ts'
import { printable, show } from '../lib/show.ts'
import type { RawDocument } from './documents.ts'
import { MANIFEST_KINDS, listOf, manifestKind, type ManifestKind } from './kinds.ts'

/** One object as a file gives it, before it is known whether it is new. */
export interface ManifestItem {
  readonly kind: string
  readonly apiVersion: string
  /** Null for kinds without namespaces; `default` where the object names none. */
  readonly namespace: string | null
  readonly name: string
  /** metadata.uid; null where there is none. */
  readonly uid: string | null
  /** `a.yaml, document 2`, `a.yaml, document 1, items[3]`. */
  readonly source: string
  readonly value: unknown
}

export interface FileReading {
  readonly items: readonly ManifestItem[]
  readonly problems: readonly Problem[]
  readonly damaged: boolean
}

/** Begins the UIDs that are made here, and therefore none that a manifest gives. */
export const MADE_UID = 'manifest:'
/** How deep lists may stand in lists. */
const DEEPEST_LIST = 4
const STAYS = 'nothing is read from it, and objects that this file gave before and does not give now stay as they were'

type Mapping = Readonly<Record<string, unknown>>

/** What is found while one file is read; `ignored` counts the kinds that nobody reads in the current document. */
interface Collector {
  readonly path: string
  readonly items: ManifestItem[]
  readonly problems: Problem[]
  readonly ignored: Map<string, number>
  damaged: boolean
}

/** `path` is relative to the folder. */
export function readObjects(path: string, documents: readonly RawDocument[]): FileReading {
  const out: Collector = { path, items: [], problems: [], ignored: new Map(), damaged: false }
  for (const document of documents) {
    const source = `${path}, document ${document.document}`
    if (document.kind === 'damaged') fail(out, source, undefined, document.message)
    else readValue(out, document.value, source, null, 0)
    reportIgnored(out, source)
  }
  return { items: out.items, problems: out.problems, damaged: out.damaged }
}

/** The reading of a file whose content is not known: `message` says why. */
export function damagedFile(path: string, message: string): FileReading {
  const out: Collector = { path, items: [], problems: [], ignored: new Map(), damaged: false }
  fail(out, path, undefined, message, 'UnreadableFile')
  return { items: [], problems: out.problems, damaged: true }
}

function fail(out: Collector, source: string, field: string | undefined, what: string, code = 'MalformedDocument'): void {
  out.damaged = true
  out.problems.push({
    code,
    severity: 'error',
    object: `file ${printable(out.path, 256)}`,
    ...(field === undefined ? {} : { field }),
    source: printable(source, 400),
    message: `${what}; ${STAYS}`,
  })
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function own(mapping: Mapping, key: string): unknown {
  return Object.hasOwn(mapping, key) ? (mapping[key] ?? undefined) : undefined
}

/** `inList`: what a list of one kind says of its items, which need not repeat it. */
function readValue(out: Collector, value: unknown, source: string, inList: ManifestKind | null, depth: number): void {
  if (!isMapping(value)) return fail(out, source, undefined, `found ${show(value)}, expected a mapping with apiVersion, kind and metadata`)
  const kind = own(value, 'kind') ?? inList?.kind
  if (typeof kind !== 'string' || kind === '') return fail(out, source, 'kind', `found ${show(own(value, 'kind'))}, expected one of ${kindNames()}`)
  const list = listOf(kind)
  if (list !== null) return readList(out, value, source, list, depth)
  const known = manifestKind(kind)
  if (known === null) {
    out.ignored.set(kind, (out.ignored.get(kind) ?? 0) + 1)
    return
  }
  const apiVersion = own(value, 'apiVersion') ?? inList?.apiVersion
  if (apiVersion !== known.apiVersion && !known.otherVersions?.includes(String(apiVersion))) {
    return fail(out, source, 'apiVersion', `found ${show(apiVersion)}, expected ${known.apiVersion} for a ${kind}`)
  }
  readObject(out, value, source, { ...known, apiVersion: String(apiVersion) })
}

function readObject(out: Collector, value: Mapping, source: string, known: ManifestKind): void {
  const metadata = own(value, 'metadata')
  if (!isMapping(metadata)) return fail(out, source, 'metadata', `found ${show(metadata)}, expected a mapping with the ${known.kind}'s name`)
  const name = own(metadata, 'name')
  if (typeof name !== 'string' || name === '') return fail(out, source, 'metadata.name', `found ${show(name)}, expected the ${known.kind}'s name`)
  const uid = own(metadata, 'uid')
  if (uid !== undefined && (typeof uid !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(uid) || uid.startsWith(MADE_UID))) {
    const expected = `none, or a UID (at most 128 printable characters, not beginning with ${MADE_UID})`
    return fail(out, source, 'metadata.uid', `found ${show(uid)}, expected ${expected}`)
  }
  const namespace = own(metadata, 'namespace')
  if (known.namespaced && namespace !== undefined && typeof namespace !== 'string') {
    return fail(out, source, 'metadata.namespace', `found ${show(namespace)}, expected the name of a namespace, or none for default`)
  }
  out.items.push(
    Object.freeze({
      kind: known.kind,
      apiVersion: known.apiVersion,
      namespace: known.namespaced ? (namespace as string | undefined) || 'default' : null,
      name,
      uid: uid ?? null,
      source,
      value,
    }),
  )
}

function readList(out: Collector, value: Mapping, source: string, list: ManifestKind | 'any', depth: number): void {
  if (depth >= DEEPEST_LIST) return fail(out, source, 'items', `found lists in lists, ${depth} deep, expected objects`)
  const expected = list === 'any' ? 'v1' : list.apiVersion
  if (own(value, 'apiVersion') !== expected) {
    return fail(out, source, 'apiVersion', `found ${show(own(value, 'apiVersion'))}, expected ${expected} for this list`)
  }
  const items = own(value, 'items') ?? []
  if (!Array.isArray(items)) return fail(out, source, 'items', `found ${show(items)}, expected a list of objects`)
  const inList = list === 'any' ? null : list
  items.forEach((item, i) => readValue(out, item, `${source}${depth === 0 ? ', ' : '.'}items[${i}]`, inList, depth + 1))
}

/** One warning a document, however many of its objects nobody reads. */
function reportIgnored(out: Collector, source: string): void {
  if (out.ignored.size === 0) return
  const found = [...out.ignored].slice(0, 8).map(([kind, count]) => (count === 1 ? printable(kind) : `${count} of ${printable(kind)}`))
  const kinds = `${found.join(', ')}${out.ignored.size > 8 ? ', ...' : ''}`
  out.problems.push({
    code: 'UnknownKind',
    severity: 'warning',
    object: `file ${printable(out.path, 256)}`,
    field: 'kind',
    source: printable(source, 400),
    message: `found kind ${kinds}, which is not read here and is ignored; read are ${kindNames()}`,
  })
  out.ignored.clear()
}

function kindNames(): string {
  return `${MANIFEST_KINDS.map((known) => known.kind).join(', ')} and lists of them`
}
