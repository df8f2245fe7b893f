// Where pods' traffic keeps its address, and from which address of this node the rest leaves.
//
// Node objects and nonMasqueradeCIDRs -> ranges by source. "The pod CIDRs and node addresses always" are among them.
// **Invariant:** what one node's object holds is told under its UID, and taken back when it goes.
import { hostCidr, type Address, type Cidr } from '../model/ip.ts'
import type { Node } from '../model/objects.ts'
import type { SnapshotDelta } from '../store/snapshot.ts'

/** One source's ranges: those that it holds no longer, and those that it holds now. */
export interface SparedDelta {
  readonly source: string
  readonly removed: readonly Cidr[]
  readonly added: readonly Cidr[]
}

export interface MasqueradeDelta {
  readonly spared: readonly SparedDelta[]
  /** Null: as before. One of each family at most; what is missing leaves from the address of its interface. */
  readonly sources: readonly Address[] | null
}

export class MasqueradePlan {
  readonly #nodeName: string | null
  #settings: readonly Cidr[] | null
  #sources: readonly Address[] = []

  constructor(nodeName: string | null, nonMasqueradeCidrs: readonly Cidr[]) {
    this.#nodeName = nodeName
    this.#settings = nonMasqueradeCidrs
  }

  step(delta: SnapshotDelta): MasqueradeDelta {
    const spared: SparedDelta[] = []
    if (this.#settings !== null) spared.push({ source: 'nonMasqueradeCIDRs', removed: [], added: this.#settings })
    this.#settings = null
    let sources: readonly Address[] | null = null
    for (const [uid, { before, after }] of delta.nodes) {
      spared.push({ source: uid, removed: rangesOf(before), added: rangesOf(after) })
      if ((after ?? before)?.name === this.#nodeName) sources = after?.egressSources ?? []
    }
    if (sources !== null && sources.join() === this.#sources.join()) sources = null
    this.#sources = sources ?? this.#sources
    return { spared, sources }
  }
}

function rangesOf(node: Node | null): readonly Cidr[] {
  return node === null ? [] : [...node.podCidrs, ...node.addresses.map(hostCidr)]
}
