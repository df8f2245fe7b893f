// Raw objects -> the world that explain is asked about: policies, pods, Services, all decoded as the agent decodes them.
//
// **Invariant:** nothing is filled in that the object does not say.
import { decodeObject } from '../../src/decode/decode.ts'
import { explain, type Question } from '../../src/explain/explain.ts'
import type { Answer } from '../../src/explain/answer.ts'
import type { Planned } from '../../src/explain/planned.ts'
import { World, type WorldSettings } from '../../src/explain/world.ts'
import type { SourceEvent } from '../../src/model/changes.ts'

interface AnyObject {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid?: string }
}

export function worldOf(objects: Iterable<AnyObject>, settings?: WorldSettings): World {
  const events: SourceEvent[] = []
  for (const object of objects) {
    const { uid, namespace = '', name } = object.metadata
    const key = uid ?? `${object.kind}/${namespace}/${name}`
    const decoded = decodeObject(object.kind, object, key)
    if (decoded === null) throw new Error(`decode does not know ${object.kind}`)
    events.push({ verb: 'upsert', key, ...decoded } as SourceEvent)
  }
  return new World(events, settings)
}

/** `port`: `80/TCP`, `/TCP` or `80`. */
export function asked(world: Planned, from: string, to: string, port: string, via: string | null = null): Answer {
  const [number, protocol] = port.split('/')
  const ports = { port: number === '' || number === undefined ? null : Number(number), protocol: (protocol ?? null) as Question['ports']['protocol'] }
  return explain(world, { from, to, ports, via })
}
