// Which addresses of this node serve node ports, and in which zone it is.
//
// Its Node object and its interfaces -> addresses. **Invariant:** loopback never serves node ports.
import { byText } from '../lib/sorting.ts'
import { contains, familyOf, parseCidr, toBits, type Address, type Cidr, FAMILIES } from '../model/ip.ts'
import type { Node } from '../model/objects.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import type { Where } from './endpoints.ts'

const ZONE = 'topology.kubernetes.io/zone'
const LOOPBACK = [parseCidr('127.0.0.0/8') as Cidr, parseCidr('::1/128') as Cidr]

export class NodeFacts {
  readonly #name: string | null
  readonly #networks: readonly Cidr[] | 'primary'
  /** Of each interface by its index, where networks are asked for. */
  readonly #byInterface = new Map<string, readonly Address[]>()
  #where: Where
  #addresses: readonly Address[] = []

  constructor(name: string | null, networks: readonly Cidr[] | 'primary') {
    this.#name = name
    this.#networks = networks
    this.#where = { node: name, zone: null }
  }

  get where(): Where {
    return this.#where
  }

  /** That serve node ports, in order. */
  get nodePortAddresses(): readonly Address[] {
    return this.#addresses
  }

  /** Whether anything of it is another now. */
  step(snapshot: Snapshot, delta: SnapshotDelta): boolean {
    const ownNode = [...delta.nodes.values()].some(({ before, after }) => (after ?? before)?.name === this.#name)
    const links = this.#networks !== 'primary' && this.#takeInterfaces(delta)
    if (!ownNode && !links) return false
    const [node] = this.#name === null ? [] : snapshot.nodes.where('name', this.#name)
    const addresses = this.#networks === 'primary' ? primary(node) : this.#within(this.#networks, node)
    const label = node?.labels.get(ZONE) ?? ''
    const zone = label === '' ? null : label
    const same = zone === this.#where.zone && addresses.join() === this.#addresses.join()
    this.#where = { node: this.#name, zone }
    this.#addresses = addresses
    return !same
  }

  #takeInterfaces(delta: SnapshotDelta): boolean {
    let changed = false
    for (const [index, { before, after }] of delta.interfaces) {
      changed ||= (before?.addresses.join() ?? '') !== (after?.addresses.join() ?? '')
      if (after === null || after.addresses.length === 0) this.#byInterface.delete(index)
      else this.#byInterface.set(index, after.addresses)
    }
    return changed
  }

  #within(networks: readonly Cidr[], node: Node | undefined): readonly Address[] {
    const all = new Set([...(node?.addresses ?? []), ...[...this.#byInterface.values()].flat()])
    return [...all].filter((address) => isIn(address, networks) && !isIn(address, LOOPBACK)).sort(byText)
  }
}

/** The first of each family. */
function primary(node: Node | undefined): readonly Address[] {
  return FAMILIES.flatMap((family) => node?.addresses.find((address) => familyOf(address) === family) ?? [])
}

function isIn(address: Address, networks: readonly Cidr[]): boolean {
  const bits = toBits(address)
  return networks.some((network) => network.family === familyOf(address) && contains(network, bits))
}
