// What the table does with packets of connections that are cut, and with ICMP errors about them, by the packet tracer.
//
// **Invariant:** the table is the skeleton with one element a family: without policies only that can drop anything.
import assert from 'node:assert/strict'
import { FAMILIES } from '../../../src/model/ip.ts'
import type { NftSet } from '../../../src/nft/objects.ts'
import { cutFlows } from '../../../src/ruleset/names.ts'
import { skeleton, TABLE, type SkeletonOptions } from '../../../src/ruleset/skeleton.ts'
import { tableBlock } from '../../support/table-text.ts'
import { Tracer, type TracePacket } from '../../support/tracer.ts'

const OPTIONS: SkeletonOptions = { newPods: 'allow', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto' }
const UPLINK = { name: 'uplink', kind: '' }
const ENDS = { 4: { client: '10.0.2.2', server: '10.0.1.1', router: '192.0.2.1' }, 6: { client: 'fd00::2', server: 'fd00::1', router: '2001:db8::1' } } as const
const PORTS = { client: 40_000, server: 53 }

function tracer(options: Partial<SkeletonOptions> = {}): Tracer {
  const state = skeleton({ ...OPTIONS, ...options })
  for (const family of FAMILIES) {
    const object = state.sets.get(cutFlows(family))?.object as NftSet | undefined
    const key = `${ENDS[family].client} . ${ENDS[family].server} . udp . ${PORTS.client} . ${PORTS.server}`
    if (object !== undefined) state.sets.set(object.name, { object, elements: new Map([[key, { key }]]) })
  }
  return new Tracer(tableBlock(TABLE, state))
}

type Flow = NonNullable<TracePacket['about']>

function flow(family: 4 | 6, from: 'client' | 'server', clientPort = PORTS.client): Flow {
  const { client, server } = ENDS[family]
  const asked = { source: client, destination: server, protocol: 17, sourcePort: clientPort, destinationPort: PORTS.server }
  return from === 'client' ? asked : { source: server, destination: client, protocol: 17, sourcePort: PORTS.server, destinationPort: clientPort }
}

const way = { path: 'forward', iif: UPLINK, oif: UPLINK } as const

/** From anybody to an end of the connection; its direction is that of the other end's packets. */
function error(about: Flow, family: 4 | 6, to: 'client' | 'server', from: keyof (typeof ENDS)[4]): TracePacket {
  const destination = ENDS[family][to]
  const icmp = family === 4 ? { protocol: 1, icmpType: 3 } : { protocol: 58, icmpType: 2 }
  return { ...way, ...icmp, source: ENDS[family][from], destination, sourcePort: 0x0304, destinationPort: 0, ctState: 'related', ctDirection: about.source === destination ? 'reply' : 'original', about }
}

describe('connections that are cut, in the table', () => {
  const cut = tracer()
  const keep = tracer({ establishedConnections: 'keep' })

  for (const family of FAMILIES) {
    for (const maker of ['client', 'server'] as const) {
      it(`rules 75, 78, 83: IPv${family}, the entry made by the ${maker}: neither its packets nor ICMP errors about it pass; others do, and all where they are kept`, () => {
        const packets = (clientPort: number): TracePacket[] => {
          const about = flow(family, maker, clientPort)
          const own = (['client', 'server'] as const).map((from): TracePacket => ({ ...way, ...flow(family, from, clientPort), ctState: 'established', ctDirection: from === maker ? 'original' : 'reply' }))
          return [...own, error(about, family, 'server', 'client'), error(about, family, 'client', 'server'), error(about, family, 'server', 'router'), error(about, family, 'client', 'router')]
        }
        for (const packet of packets(PORTS.client)) {
          const { verdict, counters } = cut.trace(packet)
          assert.deepEqual([verdict, counters], ['drop', ['cut']], JSON.stringify(packet))
          assert.equal(keep.trace(packet).verdict, 'accept')
        }
        for (const packet of packets(PORTS.client + 1)) {
          const { verdict, counters } = cut.trace(packet)
          assert.deepEqual([verdict, counters], ['accept', []], JSON.stringify(packet))
        }
      })
    }
  }
})
