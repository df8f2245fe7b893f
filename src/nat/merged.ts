// The slices of one Service -> the endpoints of each of its ports, each once.
//
// Slices may overlap: while an endpoint moves from one to another it stands in both. **Invariant:** the answer does not depend
// on the order in which slices are given.
import { byText } from '../lib/sorting.ts'
import { familyOf, type Family } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { Endpoint, EndpointSlice } from '../model/service.ts'
import { isEnding } from './endpoints.ts'
import { targetKey, type Target } from './targets.ts'

export type PortEndpoint = Endpoint & Target

export class MergedEndpoints {
  readonly #byPort = new Map<string, Map<string, PortEndpoint>>()

  constructor(slices: Iterable<EndpointSlice>) {
    for (const slice of [...slices].sort((a, b) => byText(a.name, b.name) || byText(a.uid, b.uid))) this.#add(slice)
  }

  /** In the order of their addresses' texts. */
  of(name: string, protocol: Protocol, family: Family): readonly PortEndpoint[] {
    const found = this.#byPort.get(keyOf(name, protocol, family))
    return found === undefined ? [] : [...found].sort(([a], [b]) => byText(a, b)).map(([, endpoint]) => endpoint)
  }

  #add(slice: EndpointSlice): void {
    for (const { name, protocol, port } of slice.ports) {
      for (const endpoint of slice.endpoints) {
        const key = keyOf(name, protocol, familyOf(endpoint.address))
        let endpoints = this.#byPort.get(key)
        if (endpoints === undefined) this.#byPort.set(key, (endpoints = new Map()))
        const target = targetKey({ address: endpoint.address, port })
        const known = endpoints.get(target)
        if (known === undefined || isBetter(endpoint, known)) endpoints.set(target, { ...endpoint, port })
      }
    }
  }
}

/** Of two that say different things of one endpoint: the ready one, then the one that serves while it ends, then the one that knows its node. */
function isBetter(one: Endpoint, other: Endpoint): boolean {
  return rank(one) > rank(other)
}

function rank(endpoint: Endpoint): number {
  return (endpoint.ready ? 4 : isEnding(endpoint) ? 2 : 0) + (endpoint.node === null ? 0 : 1)
}

function keyOf(name: string, protocol: Protocol, family: Family): string {
  return `${name} ${protocol} ${family}`
}
