// Pods that come, go and take each other's addresses within milliseconds, commits that take their time, and packets in between; with an
// oracle that keeps everything: who was behind each interface, and what the kernel judged by at each time.
//
// What really happens, what the API says of it and what the agent hears of links come in any order that a node can have: a network
// plugin gives out an address when its last sandbox is gone, and the API says a pod's address when its link is there.
// **Invariant:** the oracle asks the plan of each turn who has an address, and never the history.
import type { EndQuestion } from '../../src/audit/ends.ts'
import type { Bounds, Span } from '../../src/audit/moments.ts'
import type { Address } from '../../src/model/ip.ts'
import type { Pod, PodUid } from '../../src/model/objects.ts'
import { AuditWorld } from './audit-world.ts'
import { hostInterface, node, pod } from './builders.ts'
import { remove, upsert } from './cluster-feed.ts'

export type Step =
  | { readonly kind: 'create'; readonly slot: number; readonly local: boolean }
  /** The API says what it has not said of it yet. */
  | { readonly kind: 'say' | 'terminate' | 'teardown' | 'delete' | 'relabel'; readonly slot: number }
  | { readonly kind: 'packet'; readonly slot: number; readonly for: number }
  | { readonly kind: 'turn' | 'send' | 'ack' | 'settle' }
  /** From the beginning to where it sends; or from there to its end, as the API server and kubelet do it. */
  | { readonly kind: 'live'; readonly slot: number; readonly local: boolean }
  | { readonly kind: 'die'; readonly slot: number }
  /** The address goes to a pod of which the API says nothing yet, while it still has the one that went. */
  | { readonly kind: 'pass'; readonly slot: number; readonly local: boolean }
  | { readonly kind: 'wait'; readonly ms: number }

export interface Sent {
  readonly question: EndQuestion
  /** Who really sent it; of a pod of another node, nobody asks. */
  readonly sender: PodUid
}

interface Life {
  row: Pod
  readonly index: number
  isSaid: boolean
  hasSandbox: boolean
}

interface Batch {
  readonly from: number
  /** When the kernel took it, and when it had said so. */
  readonly taken: number
  until: number
  readonly owners: ReadonlyMap<Address, PodUid | null>
  /** Whose owner any of its turns changed. */
  readonly touched: ReadonlySet<Address>
}

export const ADDRESSES: readonly Address[] = ['10.1.0.1', '10.1.0.2', 'fd00:1::3']

export class Tale {
  readonly world: AuditWorld
  readonly packets: Sent[] = []
  /** By interface: whom any turn attached there. */
  readonly attached = new Map<number, Set<PodUid>>()
  readonly begin: number
  readonly #lives: Life[] = []
  readonly #batches: Batch[] = []
  #count = 0
  #planned: { from: number; touched: Set<Address> } | null = null
  #owners = new Map<Address, PodUid | null>(ADDRESSES.map((address) => [address, null]))
  #flying: { readonly revision: number; readonly batch: Omit<Batch, 'until'> } | null = null

  constructor(bounds?: Bounds) {
    this.world = new AuditWorld(bounds)
    // A first turn without rows would share its revision with the second.
    upsert(this.world.inbox, 'node', node({ name: 'n1', addresses: ['192.168.1.1'] }))
    this.world.settle()
    this.begin = this.world.now + 1
    this.world.now += 5
  }

  step(step: Step): void {
    const life = 'slot' in step ? this.#lives.filter(({ row }) => row.addresses[0] === ADDRESSES[step.slot]) : []
    switch (step.kind) {
      case 'create':
        if (!life.some(({ hasSandbox }) => hasSandbox)) this.#create(ADDRESSES[step.slot] as Address, step.local)
        return
      case 'say':
        return this.#say(life.find(({ isSaid, hasSandbox }) => !isSaid && hasSandbox))
      case 'relabel': {
        const one = life.find(({ isSaid }) => isSaid)
        if (one !== undefined) this.#row(one, { labels: new Map([['v', String(this.#count++)]]) })
        return
      }
      case 'terminate': {
        const one = life.find(({ isSaid, row }) => isSaid && !row.terminating)
        if (one !== undefined) this.#row(one, { terminating: true })
        return
      }
      case 'teardown':
        return this.#teardown(life.find(({ hasSandbox, row }) => hasSandbox && row.terminating))
      case 'delete':
        return this.#delete(life.find(({ isSaid, row }) => isSaid && row.terminating))
      case 'packet':
        return this.#send(life.find(({ hasSandbox }) => hasSandbox), step.for)
      case 'turn':
        return this.#turn()
      case 'send':
        return this.#commit()
      case 'ack':
        return this.#ack()
      case 'settle':
        for (const kind of ['turn', 'send', 'ack'] as const) this.step({ kind })
        return
      case 'live':
        for (const kind of ['create', 'say', 'turn'] as const) this.step({ kind, slot: step.slot, local: step.local } as Step)
        return
      case 'die':
        for (const kind of ['terminate', 'turn', 'teardown', 'delete', 'turn'] as const) this.step({ kind, slot: step.slot } as Step)
        return
      case 'pass':
        for (const kind of ['terminate', 'turn', 'teardown', 'create', 'turn'] as const) this.step({ kind, slot: step.slot, local: step.local } as Step)
        return
      case 'wait':
        this.world.now += step.ms
    }
  }

  /** Whom the kernel took for the address's owner, at any time of the span. */
  truth(address: Address, span: Span): ReadonlySet<PodUid | null> {
    const found = new Set<PodUid | null>()
    const all = [...this.#batches, ...(this.#flying === null ? [] : [{ ...this.#flying.batch, until: Infinity }])].filter(({ taken }) => taken <= this.world.now)
    let owner: PodUid | null = null
    let since = -Infinity
    for (const { taken, owners } of all) {
      if (since <= span.last && taken > span.first) found.add(owner)
      owner = owners.get(address) ?? null
      since = taken
    }
    if (since <= span.last) found.add(owner)
    return found
  }

  /** Whether nobody outside the kernel can know whose it was: it changed hands, or was planned to, and was not acknowledged. */
  isOpen(address: Address, span: Span): boolean {
    return this.#changes.some(({ from, until, touched }) => touched.has(address) && from <= span.last && until >= span.first)
  }

  /** Whether anything was planned to change that the kernel did not hold at that time. */
  changedSince(time: number): boolean {
    return this.#changes.some(({ until }) => until >= time)
  }

  get #changes(): readonly Pick<Batch, 'from' | 'until' | 'touched'>[] {
    const waiting = [...(this.#flying === null ? [] : [this.#flying.batch]), ...(this.#planned === null ? [] : [this.#planned])]
    return [...this.#batches, ...waiting.map((one) => ({ ...one, until: Infinity }))]
  }

  #create(address: Address, local: boolean): void {
    const number = ++this.#count
    const life = { row: pod({ uid: `u${number}`, namespace: 'shop', name: `p${number}`, node: local ? 'n1' : 'n2', addresses: [address], createdAt: number }), index: local ? 100 + number : 0, isSaid: false, hasSandbox: true }
    this.#lives.push(life)
    if (local) upsert(this.world.inbox, 'interface', hostInterface({ index: life.index, name: `veth${life.index}`, hostRoutes: [address] }))
  }

  #row(life: Life, fields: Partial<Pod>): void {
    life.row = Object.freeze({ ...life.row, ...fields })
    upsert(this.world.inbox, 'pod', life.row)
  }

  #say(life: Life | undefined): void {
    if (life === undefined) return
    life.isSaid = true
    this.#row(life, {})
  }

  #teardown(life: Life | undefined): void {
    if (life === undefined) return
    life.hasSandbox = false
    if (life.index !== 0) remove(this.world.inbox, 'interface', hostInterface({ index: life.index }))
    if (!life.isSaid) this.#lives.splice(this.#lives.indexOf(life), 1)
  }

  #delete(life: Life | undefined): void {
    if (life === undefined) return
    life.isSaid = false
    remove(this.world.inbox, 'pod', life.row)
    if (!life.hasSandbox) this.#lives.splice(this.#lives.indexOf(life), 1)
  }

  #send(life: Life | undefined, ms: number): void {
    if (life === undefined) return
    const question = { address: life.row.addresses[0] as Address, interface: life.index, at: null, span: { first: this.world.now, last: this.world.now + ms } }
    this.world.now += ms
    this.packets.push({ question, sender: life.row.uid })
  }

  #turn(): void {
    this.world.turn()
    const { snapshot, plan } = this.world.turns
    const planned = this.#planned ?? { from: this.world.now, touched: new Set<Address>() }
    this.#planned = planned
    for (const address of ADDRESSES) {
      const owner = [...(snapshot?.pods.where('address', address) ?? [])][0]?.uid ?? null
      if (owner === this.#owners.get(address)) continue
      this.#owners.set(address, owner)
      planned.touched.add(address)
    }
    for (const [uid, { attachment }] of plan.locals) {
      for (const key of attachment.by) {
        if (key.via !== 'interface') continue
        const index = Number(key.interface.slice('veth'.length))
        const before = this.attached.get(index) ?? new Set()
        // What is new to one that ends is not known to be its own.
        if (before.size > 0 || snapshot?.pods.get(uid)?.terminating === false) this.attached.set(index, before.add(uid))
      }
    }
  }

  /** The kernel takes it in half the time that it has until it says so, or a little later than now. */
  #commit(): void {
    if (this.#planned === null || this.#flying !== null) return
    const { from, touched } = this.#planned
    this.#flying = { revision: this.world.turns.revision, batch: { from, touched, taken: this.world.now + (this.#count % 4), owners: new Map(this.#owners) } }
    this.#planned = null
  }

  #ack(): void {
    if (this.#flying === null) return
    const { revision, batch } = this.#flying
    this.world.now = Math.max(this.world.now, batch.taken)
    this.world.history.held(revision, this.world.now)
    this.#batches.push({ ...batch, until: this.world.now + 1 })
    this.#flying = null
  }
}
