// Ports of this node's bridges with what is behind each, whether a pod is known there or not.
//
// **Invariant:** a port is told anew exactly where what would be told of it is another now: a change of a bridge may concern all.
import type { Change, Changes } from '../model/changes.ts'
import type { HostInterface } from '../model/objects.ts'
import { sameRow } from '../store/equality.ts'
import type { WorkCount } from '../store/snapshot.ts'
import { portBehind } from './attach.ts'
import type { PortBehind } from './plan.ts'

export class BridgeEnds {
  readonly #work: WorkCount
  /** By the kernel's index, as is what was told. */
  readonly #links = new Map<string, HostInterface>()
  readonly #told = new Map<string, PortBehind>()

  constructor(work: WorkCount) {
    this.#work = work
  }

  /** `bridges` as they are after these changes. */
  changed(interfaces: Changes<string, HostInterface>, bridges: ReadonlyMap<number, HostInterface>): Changes<string, PortBehind> {
    const keys = new Set<string>()
    for (const [key, { before, after }] of interfaces) {
      if (after === null || after.behind === null) this.#links.delete(key)
      else this.#links.set(key, after)
      if (this.#told.has(key) || this.#links.has(key)) keys.add(key)
      if (before?.kind === 'bridge' || after?.kind === 'bridge') for (const other of this.#links.keys()) keys.add(other)
    }
    const changes = new Map<string, Change<PortBehind>>()
    for (const key of keys) {
      this.#work.rows++
      const link = this.#links.get(key)
      const before = this.#told.get(key) ?? null
      const after = link === undefined ? null : portBehind(link, bridges)
      if (sameRow(before, after)) continue
      if (after === null) this.#told.delete(key)
      else this.#told.set(key, after)
      changes.set(key, { before, after })
    }
    return changes
  }
}
