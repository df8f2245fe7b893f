// What pods were given by their network plugins, laid over what the API says of them, until it says it itself.
//
// It stands between the sources and the inbox: a pod's row gets the addresses of its entry. An entry ends when the API says other
// addresses than at ADD, when the pod is finished or gone, when its sandbox is taken back or replaced, when one of its addresses
// is given to another sandbox, or when an interface that was made for it goes.
// **Invariant:** rows are a function of what the sources said last and of the entries in force; without entries nothing is changed.
import type { Decoded, SourceEvent, SourceEventOf } from '../model/changes.ts'
import type { Address } from '../model/ip.ts'
import type { Pod, Uid } from '../model/objects.ts'
import type { GateEntry, Sandbox } from './gate-request.ts'

type Good = Extract<Decoded<Pod>, { kind: 'good' }>

/** As it is kept over a restart. */
export interface KeptEntry {
  readonly entry: GateEntry
  /** What the API said when the plugin asked, or until it was answered: kubelet reports addresses only after that. */
  readonly before: readonly Address[]
}

interface Held {
  readonly entry: GateEntry
  before: readonly Address[]
  /** Key of the pod's row; null while no row fits. */
  bound: Uid | null
  /** The plugin waits for its answer. */
  pending: boolean
  /** From before the agent's start: to be held against the first whole lists. */
  loaded: boolean
}

export class GateOverlay {
  readonly #isLocal: (pod: Pod) => boolean
  readonly #held = new Map<string, Held>()
  /** This node's pods as the source said them. */
  readonly #rows = new Map<Uid, Good>()
  /** Index -> name. */
  readonly #links = new Map<string, string>()
  /** Rows to say again. */
  #touched = new Set<Uid>()
  /** Rises with every change of what is kept. */
  version = 0

  constructor(isLocal: (pod: Pod) => boolean, kept: readonly KeptEntry[] = []) {
    this.#isLocal = isLocal
    for (const { entry, before } of kept) this.#held.set(keyOf(entry), { entry, before, bound: null, pending: false, loaded: true })
  }

  get kept(): readonly KeptEntry[] {
    return [...this.#held.values()].map(({ entry, before }) => ({ entry, before }))
  }

  /** The pod's row as the source says it; null where none fits. */
  podOf(entry: GateEntry): Pod | null {
    const key = this.#held.get(keyOf(entry))?.bound ?? this.#find(entry)
    return key === null ? null : (this.#rows.get(key)?.row ?? null)
  }

  /** An event of a source -> what the inbox is to be told. */
  take(event: SourceEvent): readonly SourceEvent[] {
    if (event.kind === 'pod') return this.#takePod(event)
    if (event.kind !== 'interface') return [event]
    this.#takeLink(event)
    return [event, ...this.#sayAgain()]
  }

  /** A sandbox was made, and its plugin waits. */
  add(entry: GateEntry): readonly SourceEvent[] {
    for (const other of [...this.#held.values()]) if (endedBy(other.entry, entry)) this.#remove(other)
    const bound = this.#find(entry)
    const row = bound === null ? undefined : this.#rows.get(bound)?.row
    if (row?.finished !== true && row?.hostNetwork !== true) {
      this.#held.set(keyOf(entry), { entry, before: row?.addresses ?? [], bound, pending: true, loaded: false })
      this.#changed(bound)
    }
    return this.#sayAgain()
  }

  /** The plugin was answered: from now on kubelet may report addresses. */
  settle(sandbox: Sandbox): readonly SourceEvent[] {
    const held = this.#held.get(keyOf(sandbox))
    if (held === undefined || !held.pending) return []
    held.pending = false
    const row = held.bound === null ? undefined : this.#rows.get(held.bound)?.row
    if (row !== undefined && sameSet(row.addresses, held.entry.addresses)) this.#remove(held)
    return this.#sayAgain()
  }

  /** The sandbox was taken back; null where nothing is known of it. */
  remove(sandbox: Sandbox): readonly SourceEvent[] | null {
    const held = this.#held.get(keyOf(sandbox))
    if (held === undefined) return null
    this.#remove(held)
    return this.#sayAgain()
  }

  #takePod(event: SourceEventOf<'pod'>): readonly SourceEvent[] {
    switch (event.verb) {
      case 'upsert': {
        this.#setRow(event.key, event.decoded)
        const mine = { ...event, decoded: this.#laidOver(event.key, event.decoded) }
        this.#touched.delete(event.key)
        return [mine, ...this.#sayAgain()]
      }
      case 'delete':
        this.#dropRow(event.key)
        return [event, ...this.#sayAgain()]
      case 'replace': {
        for (const key of [...this.#rows.keys()]) if (!event.rows.has(key)) this.#dropRow(key)
        for (const [key, decoded] of event.rows) this.#setRow(key, decoded)
        const laid = [...this.#held.values()].flatMap(({ bound }) => (bound === null ? [] : [bound]))
        this.#touched = new Set([...this.#touched, ...laid])
        return [event, ...this.#sayAgain()]
      }
      case 'synced':
        for (const held of [...this.#held.values()]) if (held.loaded && held.bound === null) this.#remove(held)
        return [event, ...this.#sayAgain()]
    }
  }

  /** A version that cannot be read leaves the last good one in force, here as in the store. */
  #setRow(key: Uid, decoded: Decoded<Pod>): void {
    if (decoded.kind === 'bad') return
    const { row } = decoded
    if (!this.#isLocal(row)) return this.#rows.has(key) ? this.#dropRow(key) : undefined
    this.#rows.set(key, decoded)
    for (const held of [...this.#held.values()]) {
      if (held.bound !== key && !this.#rebind(held, key, row)) continue
      if (row.finished || row.hostNetwork) this.#remove(held)
      else if (row.addresses.length > 0 && !sameSet(row.addresses, held.before)) {
        if (!held.pending) this.#remove(held)
        else {
          held.before = row.addresses
          this.version++
        }
      }
    }
  }

  #dropRow(key: Uid): void {
    this.#rows.delete(key)
    for (const held of [...this.#held.values()]) {
      if (held.bound !== key) continue
      // Without a UID it may have been taken for the pod of that name before it.
      if (held.pending && held.entry.uid === null) held.bound = this.#find(held.entry)
      else this.#remove(held)
      this.#changed(held.bound)
    }
  }

  #rebind(held: Held, key: Uid, row: Pod): boolean {
    const open = held.bound === null || (held.pending && held.entry.uid === null)
    if (!open || !fits(held.entry, row) || this.#find(held.entry) !== key) return false
    this.#changed(held.bound)
    held.bound = key
    return true
  }

  #find(entry: GateEntry): Uid | null {
    if (entry.uid !== null && this.#rows.has(entry.uid)) return entry.uid
    const found = [...this.#rows].filter(([, { row }]) => fits(entry, row))
    return found.sort(([, a], [, b]) => b.row.createdAt - a.row.createdAt)[0]?.[0] ?? null
  }

  #takeLink(event: SourceEventOf<'interface'>): void {
    switch (event.verb) {
      case 'upsert':
        return this.#setLink(event.key, event.decoded.kind === 'good' ? event.decoded.row.name : null)
      case 'delete':
        return this.#setLink(event.key, null)
      case 'replace':
        for (const key of [...this.#links.keys()]) if (!event.rows.has(key)) this.#setLink(key, null)
        for (const [key, decoded] of event.rows) this.#setLink(key, decoded.kind === 'good' ? decoded.row.name : null)
        return
      case 'synced': {
        const names = new Set(this.#links.values())
        for (const held of [...this.#held.values()]) if (held.loaded && !held.entry.hostInterfaces.every((name) => names.has(name))) this.#remove(held)
      }
    }
  }

  #setLink(key: string, name: string | null): void {
    const before = this.#links.get(key)
    if (before === name) return
    if (name === null) this.#links.delete(key)
    else this.#links.set(key, name)
    if (before === undefined) return
    // While its plugin waits, what goes may be an earlier one of that name.
    for (const held of [...this.#held.values()]) if (!held.pending && held.entry.hostInterfaces.includes(before)) this.#remove(held)
  }

  #remove(held: Held): void {
    this.#held.delete(keyOf(held.entry))
    this.#changed(held.bound)
  }

  #changed(bound: Uid | null): void {
    this.version++
    if (bound !== null) this.#touched.add(bound)
  }

  #sayAgain(): readonly SourceEvent[] {
    const touched = this.#touched
    if (touched.size === 0) return []
    this.#touched = new Set()
    return [...touched].flatMap((key): SourceEvent[] => {
      const decoded = this.#rows.get(key)
      return decoded === undefined ? [] : [{ verb: 'upsert', kind: 'pod', key, decoded: this.#laidOver(key, decoded) }]
    })
  }

  #laidOver(key: Uid, decoded: Decoded<Pod>): Decoded<Pod> {
    if (decoded.kind === 'bad' || this.#held.size === 0) return decoded
    const addresses = [...this.#held.values()].flatMap(({ entry, bound }) => (bound === key ? entry.addresses : []))
    if (addresses.length === 0) return decoded
    return { ...decoded, row: Object.freeze({ ...decoded.row, addresses: Object.freeze(addresses), given: true }) }
  }
}

function keyOf({ containerId, ifname }: Sandbox): string {
  return `${containerId}/${ifname}`
}

/** Of a mirror pod the runtime knows another UID than the API. kubelet makes no sandbox for a pod that is terminating. */
function fits({ uid, namespace, name }: GateEntry, row: Pod): boolean {
  if (uid !== null && row.uid === uid) return true
  if (row.namespace !== namespace || row.name !== name) return false
  return uid === null ? !row.terminating && !row.finished : row.mirrors === uid
}

/** Whether the new sandbox is the end of the other: of the same pod, or with one of its addresses. */
function endedBy(other: GateEntry, entry: GateEntry): boolean {
  if (keyOf(other) === keyOf(entry)) return true
  if (other.containerId === entry.containerId) return false
  const samePod = other.uid === entry.uid && other.namespace === entry.namespace && other.name === entry.name
  return samePod || other.addresses.some((address) => entry.addresses.includes(address))
}

function sameSet(a: readonly Address[], b: readonly Address[]): boolean {
  return a.length === b.length && a.every((address) => b.includes(address))
}
