// `shop/web -> shop/db 8080/TCP v4`: who asks whom for what, as text -> questions for a round of probes.
//
// A source is a pod's key, a node's name or `outside`; a destination besides that `NAME@ADDRESS` for one certain address.
// Ports: `8080/UDP`, `8080` (TCP), `8080/*` (every protocol); 8080/TCP where there is none. Both families unless v4 or v6.
// **Invariant:** text that names nothing that exists is an error, never a question that nobody answers.
import { familyOf, type Address } from '../../src/model/ip.ts'
import type { Protocol } from '../../src/model/objects.ts'
import type { Question } from '../../src/lab/round.ts'
import type { ProbeSource } from '../../src/lab/testbed.ts'
import { EVERY_PROTOCOL } from './real-objects.ts'

/** A place that probes start from or go to. */
export interface Place {
  readonly source: ProbeSource
  readonly key: string
  /** Where a pod runs; null for hosts. */
  readonly node: string | null
  readonly addresses: readonly Address[]
}

export interface Asked extends Question {
  /** The one question as text, for failures. */
  readonly text: string
}

/** Throws where `text` does not read as said above. */
export function questionsOf(text: string, placeOf: (name: string) => Place): readonly Asked[] {
  const match = /^(\S+) -> (\S+)((?: \S+)*)$/.exec(text)
  if (match === null) throw new Error(`"${text}": expected FROM -> TO [PORT/PROTOCOL...] [v4|v6]`)
  const [, from = '', to = '', rest = ''] = match
  const words = rest.split(' ').filter((word) => word !== '')
  const families = words.includes('v4') ? [4] : words.includes('v6') ? [6] : [4, 6]
  const ports = words.filter((word) => !/^v[46]$/.test(word)).flatMap(portsOf)
  const source = placeOf(from)
  const [name = '', only] = to.split('@')
  const place = placeOf(name)
  const addresses = only === undefined ? place.addresses.filter((one) => families.includes(familyOf(one))) : [only]
  return addresses.flatMap((address) =>
    (ports.length === 0 ? portsOf('8080') : ports).map(({ protocol, port }) => ({
      from: source.source,
      fromNode: source.node,
      to: { key: place.key, node: place.node },
      address,
      protocol,
      port,
      text: `${from} -> ${name} ${port}/${protocol} at ${address}`,
    })),
  )
}

function portsOf(word: string): readonly { readonly protocol: Protocol; readonly port: number }[] {
  const match = /^(\d+)(?:\/(TCP|UDP|SCTP|\*))?$/.exec(word)
  if (match === null) throw new Error(`"${word}": expected a port such as 8080, 8080/UDP or 8080/*`)
  const [, port, protocol = 'TCP'] = match
  return (protocol === '*' ? EVERY_PROTOCOL : [protocol as Protocol]).map((one) => ({ protocol: one, port: Number(port) }))
}
