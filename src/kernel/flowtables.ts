// `nft -j list flowtables` -> flowtables of tables that are not ours (rule 89: a foreign one on a pod's interface
// lets packets pass without policy). Pure: tested on decoded answers, since kernels differ in having flowtables at all.
//
// **Invariant:** an answer that cannot be read is no flowtable, never an error: it must not stop the agent.
import { objectsOf } from '../nft/listing.ts'
import type { ForeignFlowtable } from './kernel.ts'

/** Tables of the name `ours` are left out, of whatever family. */
export function decodeFlowtables(text: string, ours: string): readonly ForeignFlowtable[] {
  let objects: ReturnType<typeof objectsOf>
  try {
    objects = objectsOf(text)
  } catch {
    return []
  }
  return objects.flatMap(([kind, object]): ForeignFlowtable[] => {
    if (kind !== 'flowtable' || object['table'] === ours) return []
    // One device is listed as a word, several as an array.
    const devices = [object['dev'] ?? []].flat().map(String)
    return [{ table: `${String(object['family'])} ${String(object['table'])}`, name: String(object['name']), devices }]
  })
}
