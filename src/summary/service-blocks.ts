// Which ipBlocks hold an address of a Service and nobody else's: policies see the address behind a Service (rule 54).
//
// Few blocks hold a Service's address at all; of those a witness is kept, one pod's or Node's address that is in the block too, and
// looked for anew only when it goes. So a pod that comes or goes costs the number of blocks without a witness.
// **Invariant:** a block is surprising exactly while it holds an address of a Service and has no witness.
import { contains, familyOf, toBits, type Address, type Family } from '../model/ip.ts'
import type { PolicyUid } from '../model/objects.ts'
import type { Block } from './parts.ts'

interface Point {
  readonly family: Family
  readonly bits: bigint
  /** How many have it. */
  holders: number
}

interface Held extends Block {
  readonly users: Set<PolicyUid>
  /** Addresses of Services in it. */
  services: number
  witness: Address | null
}

export interface AddressMoves {
  readonly gone: readonly Address[]
  readonly come: readonly Address[]
}

export class ServiceBlocks {
  readonly #blocks = new Map<string, Held>()
  readonly #services = new Map<Address, Point>()
  /** Of pods and Nodes. */
  readonly #others = new Map<Address, Point>()

  hold(user: PolicyUid, blocks: readonly Block[]): void {
    for (const block of blocks) {
      const key = keyOf(block)
      const known = this.#blocks.get(key) ?? this.#open(block)
      this.#blocks.set(key, known)
      known.users.add(user)
    }
  }

  release(user: PolicyUid, blocks: readonly Block[]): void {
    for (const block of blocks) {
      const held = this.#blocks.get(keyOf(block))
      held?.users.delete(user)
      if (held?.users.size === 0) this.#blocks.delete(keyOf(block))
    }
  }

  isSurprising(block: Block): boolean {
    const held = this.#blocks.get(keyOf(block))
    return held !== undefined && isSurprising(held)
  }

  /** Addresses of Services that came and went, and of pods and Nodes; the policies for which something turned. */
  update(services: AddressMoves, others: AddressMoves): ReadonlySet<PolicyUid> {
    const touched = new Map<Held, boolean>()
    const touch = (held: Held): void => {
      if (!touched.has(held)) touched.set(held, isSurprising(held))
    }
    const moved = moveAll(this.#services, services)
    for (const held of moved.size === 0 ? [] : this.#blocks.values()) {
      for (const [, { point, by }] of moved) {
        if (!holds(held, point)) continue
        touch(held)
        held.services += by
      }
    }
    const { gone, come } = sides(moveAll(this.#others, others))
    for (const held of gone.size + come.size === 0 ? [] : this.#blocks.values()) {
      if (held.services === 0) continue
      if (held.witness !== null && !gone.has(held.witness)) continue
      touch(held)
      if (held.witness !== null) held.witness = null
      else for (const [address, point] of come) if (held.witness === null && holds(held, point)) held.witness = address
    }
    for (const held of touched.keys()) this.#lookForWitness(held)
    return new Set([...touched].flatMap(([held, before]) => (before === isSurprising(held) ? [] : [...held.users])))
  }

  #open({ cidr, except }: Block): Held {
    const held: Held = { cidr, except, users: new Set(), services: 0, witness: null }
    for (const point of this.#services.values()) if (holds(held, point)) held.services += 1
    this.#lookForWitness(held)
    return held
  }

  /** Wide blocks find one at once; narrow ones that hold a Service's address are few. */
  #lookForWitness(held: Held): void {
    if (held.services === 0) held.witness = null
    if (held.services === 0 || held.witness !== null) return
    for (const [address, point] of this.#others) {
      if (!holds(held, point)) continue
      held.witness = address
      return
    }
  }
}

function isSurprising({ services, witness }: Held): boolean {
  return services > 0 && witness === null
}

function keyOf({ cidr, except }: Block): string {
  return [cidr, ...except].map(({ text }) => text).join(' ')
}

function holds({ cidr, except }: Block, { family, bits }: Point): boolean {
  return cidr.family === family && contains(cidr, bits) && !except.some((one) => one.family === family && contains(one, bits))
}

/** Applies moves to the addresses that somebody has; those that have a holder now and had none before (1), and the reverse (-1). */
function moveAll(points: Map<Address, Point>, { gone, come }: AddressMoves): ReadonlyMap<Address, { readonly point: Point; readonly by: 1 | -1 }> {
  const before = new Map<Address, number>()
  const count = (address: Address, by: 1 | -1): void => {
    const point = points.get(address) ?? { family: familyOf(address), bits: toBits(address), holders: 0 }
    points.set(address, point)
    if (!before.has(address)) before.set(address, point.holders)
    point.holders += by
  }
  for (const address of come) count(address, 1)
  for (const address of gone) count(address, -1)
  const moved = new Map<Address, { readonly point: Point; readonly by: 1 | -1 }>()
  for (const [address, holders] of before) {
    const point = points.get(address) as Point
    if (point.holders === 0) points.delete(address)
    if ((holders === 0) !== (point.holders === 0)) moved.set(address, { point, by: holders === 0 ? 1 : -1 })
  }
  return moved
}

function sides(moved: ReadonlyMap<Address, { readonly point: Point; readonly by: 1 | -1 }>): { readonly gone: ReadonlySet<Address>; readonly come: ReadonlyMap<Address, Point> } {
  const all = [...moved]
  return { gone: new Set(all.flatMap(([address, { by }]) => (by === -1 ? [address] : []))), come: new Map(all.flatMap(([address, { point, by }]) => (by === 1 ? [[address, point] as const] : []))) }
}
