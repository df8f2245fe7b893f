// Messages of the Kubernetes API in protobuf -> the raw objects that its JSON would give, as far as they are read here.
//
// Field numbers from generated.proto of k8s.io/api/core/v1, k8s.io/apimachinery/pkg/apis/meta/v1 and .../pkg/runtime, v0.37.2;
// numbers never change within v1. A field that JSON leaves out while it is empty is left out here too, so that decode/ stays the only judge.
// **Invariant:** a field that decode/ reads comes out as from JSON; all others are skipped, known or not.
import { POD_ANNOTATIONS } from '../decode/pod.ts'
import { printable } from '../lib/show.ts'
import { Cursor, Damaged } from './protobuf.ts'

/** How objects of a resource are read. */
export interface MessageKind {
  /** `Pod` */
  readonly kind: string
  readonly read: (cursor: Cursor) => unknown
}

/** Of a watch, in either encoding. */
export interface WatchEvent {
  readonly type?: unknown
  readonly object?: unknown
}

/** What an error is said with. */
export interface StatusObject {
  readonly message?: unknown
  readonly reason?: unknown
  readonly code?: unknown
  /** In JSON only. */
  readonly details?: unknown
}

/** Of an object that is being read. */
export type Fields = Record<string, unknown>

/** In front of each object: k8s.io/apimachinery/pkg/runtime/serializer/protobuf. */
export const MAGIC = Buffer.from('k8s\0', 'latin1')
/** Years 1 and 9999, in seconds. The first stands for no time (Go's zero). */
const FIRST_SECOND = -62_135_596_800
const LAST_SECOND = 253_402_300_799
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'
const ANNOTATIONS: ReadonlySet<string> = new Set([...POD_ANNOTATIONS, INITIAL_EVENTS_END])

export const POD_MESSAGE: MessageKind = { kind: 'Pod', read: readPod }
const STATUS_MESSAGE: MessageKind = { kind: 'Status', read: readStatus }

/** meta/v1 WatchEvent: 1 type, 2 object (runtime.RawExtension). */
export function readWatchEvent(cursor: Cursor, expected: MessageKind): WatchEvent {
  const event: { type?: string; object?: unknown } = {}
  while (cursor.next()) {
    if (cursor.field === 1) event.type = cursor.string()
    else if (cursor.field === 2) nested(cursor, () => readRawExtension(cursor, expected, event))
    else cursor.skip()
  }
  return event
}

/** runtime.RawExtension: 1 raw. */
function readRawExtension(cursor: Cursor, expected: MessageKind, event: { object?: unknown }): void {
  while (cursor.next()) {
    if (cursor.field === 1) nested(cursor, () => (event.object = readObject(cursor, expected)))
    else cursor.skip()
  }
}

/** runtime.Unknown: 1 typeMeta, 2 raw. The API writes them in this order. */
function readObject(cursor: Cursor, expected: MessageKind): unknown {
  cursor.expect(MAGIC, 'the mark of a Kubernetes object')
  let kind = ''
  let object: unknown
  while (cursor.next()) {
    if (cursor.field === 1) kind = nested(cursor, () => readKind(cursor))
    else if (cursor.field === 2) object = nested(cursor, () => readOf(kind, cursor, expected))
    else cursor.skip()
  }
  return object
}

function readOf(kind: string, cursor: Cursor, expected: MessageKind): unknown {
  if (kind === expected.kind) return expected.read(cursor)
  if (kind === 'Status') return readStatus(cursor)
  throw new Damaged(`found an object of kind "${printable(kind)}", expected ${expected.kind} or Status`)
}

/** The Status in an answer that is an error, of which only the beginning may be there; null where it is none, or damaged. */
export function statusIn(bytes: Buffer): StatusObject | null {
  try {
    const status = readObject(new Cursor(bytes), STATUS_MESSAGE)
    return typeof status === 'object' ? status : null
  } catch (error) {
    if (error instanceof Damaged) return null
    throw error
  }
}

/** runtime.TypeMeta: 2 kind. */
export function readKind(cursor: Cursor): string {
  let kind = ''
  while (cursor.next()) {
    if (cursor.field === 2) kind = cursor.string()
    else cursor.skip()
  }
  return kind
}

/** meta/v1 Status: 3 message, 4 reason, 6 code. */
function readStatus(cursor: Cursor): StatusObject {
  const status: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 3) status['message'] = cursor.string()
    else if (cursor.field === 4) status['reason'] = cursor.string()
    else if (cursor.field === 6) status['code'] = cursor.int32()
    else cursor.skip()
  }
  return status
}

/** meta/v1 ListMeta: 2 resourceVersion, 3 continue. */
export function readListMeta(cursor: Cursor): unknown {
  const metadata: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 2) put(metadata, 'resourceVersion', cursor.string())
    else if (cursor.field === 3) put(metadata, 'continue', cursor.string())
    else cursor.skip()
  }
  return metadata
}

/** core/v1 Pod: 1 metadata, 2 spec, 3 status. JSON has them always. */
function readPod(cursor: Cursor): unknown {
  const metadata: Fields = {}
  const spec: Fields = {}
  const status: Fields = {}
  while (cursor.next()) {
    const outer = cursor.field <= 3 ? cursor.enter() : -1
    if (cursor.field === 1) readMetadata(cursor, metadata)
    else if (cursor.field === 2) readSpec(cursor, spec)
    else if (cursor.field === 3) readPodStatus(cursor, status)
    if (outer === -1) cursor.skip()
    else cursor.leave(outer)
  }
  return { metadata, spec, status }
}

/** meta/v1 ObjectMeta: 1 name, 3 namespace, 5 uid, 6 resourceVersion, 8 creationTimestamp, 9 deletionTimestamp, 11 labels, 12 annotations, 13 ownerReferences. */
export function readMetadata(cursor: Cursor, metadata: Fields): void {
  while (cursor.next()) {
    switch (cursor.field) {
      case 1:
        put(metadata, 'name', cursor.string())
        break
      case 3:
        put(metadata, 'namespace', cursor.string())
        break
      case 5:
        put(metadata, 'uid', cursor.string())
        break
      case 6:
        put(metadata, 'resourceVersion', cursor.string())
        break
      case 8:
        put(metadata, 'creationTimestamp', readTime(cursor))
        break
      case 9:
        put(metadata, 'deletionTimestamp', readTime(cursor))
        break
      case 11:
        readEntry(cursor, (metadata['labels'] ??= {}) as Fields, null)
        break
      case 12:
        readEntry(cursor, (metadata['annotations'] ??= {}) as Fields, ANNOTATIONS)
        break
      case 13:
        push(metadata, 'ownerReferences', nested(cursor, () => readOwner(cursor)))
        break
      default:
        cursor.skip()
    }
  }
}

/** meta/v1 OwnerReference: 1 kind, 3 name, 6 controller. */
function readOwner(cursor: Cursor): Fields {
  const owner: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 1) put(owner, 'kind', cursor.string())
    else if (cursor.field === 3) put(owner, 'name', cursor.string())
    else if (cursor.field === 6) owner['controller'] = cursor.bool()
    else cursor.skip()
  }
  return owner
}

/** An entry of map<string, string>: 1 key, 2 value. `keys`: which are kept; null: all. */
function readEntry(cursor: Cursor, into: Fields, keys: ReadonlySet<string> | null): void {
  const outer = cursor.enter()
  let key = ''
  let value = ''
  while (cursor.next()) {
    if (cursor.field === 1) key = cursor.string()
    else if (cursor.field === 2 && (keys === null || key === '' || keys.has(key))) value = cursor.string()
    else cursor.skip()
  }
  cursor.leave(outer)
  if (keys !== null && !keys.has(key)) return
  // As JSON.parse does it: a key like any other, which sets no prototype.
  if (key === '__proto__') Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true })
  else into[key] = value
}

/** meta/v1 Time: 1 seconds. Empty where there is none, which JSON says with null. */
function readTime(cursor: Cursor): string {
  const outer = cursor.enter()
  let seconds = FIRST_SECOND
  while (cursor.next()) {
    if (cursor.field === 1) seconds = cursor.int64()
    else cursor.skip()
  }
  cursor.leave(outer)
  if (seconds === FIRST_SECOND) return ''
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) throw new Damaged(`found ${seconds} seconds, expected a time of the years 1 to 9999`)
  return `${new Date(seconds * 1000).toISOString().slice(0, -'.000Z'.length)}Z`
}

/** core/v1 PodSpec: 2 containers, 10 nodeName, 11 hostNetwork, 20 initContainers. */
function readSpec(cursor: Cursor, spec: Fields): void {
  while (cursor.next()) {
    if (cursor.field === 2) push(spec, 'containers', readContainer(cursor))
    else if (cursor.field === 10) put(spec, 'nodeName', cursor.string())
    else if (cursor.field === 11) spec['hostNetwork'] = cursor.bool()
    else if (cursor.field === 20) push(spec, 'initContainers', readContainer(cursor))
    else cursor.skip()
  }
}

/** core/v1 Container: 6 ports, 24 restartPolicy. */
function readContainer(cursor: Cursor): Fields {
  const outer = cursor.enter()
  const container: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 6) push(container, 'ports', readPort(cursor))
    else if (cursor.field === 24) container['restartPolicy'] = cursor.string()
    else cursor.skip()
  }
  cursor.leave(outer)
  return container
}

/** core/v1 ContainerPort: 1 name, 3 containerPort, 4 protocol. */
function readPort(cursor: Cursor): Fields {
  const outer = cursor.enter()
  const port: Fields = { containerPort: 0 }
  while (cursor.next()) {
    if (cursor.field === 1) put(port, 'name', cursor.string())
    else if (cursor.field === 3) port['containerPort'] = cursor.int32()
    else if (cursor.field === 4) put(port, 'protocol', cursor.string())
    else cursor.skip()
  }
  cursor.leave(outer)
  return port
}

/** core/v1 PodStatus: 1 phase, 6 podIP, 12 podIPs. */
function readPodStatus(cursor: Cursor, status: Fields): void {
  while (cursor.next()) {
    if (cursor.field === 1) put(status, 'phase', cursor.string())
    else if (cursor.field === 6) put(status, 'podIP', cursor.string())
    else if (cursor.field === 12) push(status, 'podIPs', readPodIp(cursor))
    else cursor.skip()
  }
}

/** core/v1 PodIP: 1 ip. JSON has it always. */
function readPodIp(cursor: Cursor): Fields {
  const outer = cursor.enter()
  let ip = ''
  while (cursor.next()) {
    if (cursor.field === 1) ip = cursor.string()
    else cursor.skip()
  }
  cursor.leave(outer)
  return { ip }
}

export function nested<T>(cursor: Cursor, read: () => T): T {
  const outer = cursor.enter()
  const value = read()
  cursor.leave(outer)
  return value
}

/** Left out while it is empty. */
export function put(fields: Fields, key: string, value: string): void {
  if (value !== '') fields[key] = value
}

export function push(fields: Fields, key: string, value: unknown): void {
  const list = fields[key] as unknown[] | undefined
  if (list === undefined) fields[key] = [value]
  else list.push(value)
}
