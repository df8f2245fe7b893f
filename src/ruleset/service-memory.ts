// The table as it was read -> what its service maps say of lists and endpoints: for a start that goes on where another ended.
//
// **Invariant:** what cannot be read, or was made with another serviceMarkMask, is left out.
import { FAMILIES, parseAddress, type Family } from '../model/ip.ts'
import { PROTOCOLS } from '../model/objects.ts'
import { entryKey, type ListMemory } from '../nat/memory.ts'
import { CLIENTS, type ListId } from '../nat/plan.ts'
import type { Target } from '../nat/targets.ts'
import type { TableState } from '../nft/state.ts'
import { clientMark, listOfMark, type MarkLayout } from './marks.ts'
import { affinityMap, serviceEndpoints, serviceIds } from './names.ts'

export function readLists(state: TableState, layout: MarkLayout): ListMemory {
  const clients = new Map(CLIENTS.map((client) => [String(clientMark(layout, client)), client]))
  const lists = new Map<string, ListId>()
  for (const family of FAMILIES) {
    for (const { key, value } of state.sets.get(serviceIds(family))?.elements.values() ?? []) {
      const [mark = '', address = '', l4proto = '', port = ''] = key.split(' . ')
      const client = clients.get(mark)
      const protocol = PROTOCOLS.find((one) => one.toLowerCase() === l4proto)
      const list = listOfMark(layout, Number(value))
      if (client !== undefined && protocol !== undefined && list !== null) lists.set(entryKey(client, address, protocol, Number(port)), list)
    }
  }
  return { lists, slots: readSlots(state, layout), clients: readClients(state, layout) }
}

function readClients(state: TableState, layout: MarkLayout): Set<ListId> {
  const keys = FAMILIES.flatMap((family) => PROTOCOLS.flatMap((protocol) => [...(state.sets.get(affinityMap(protocol, family))?.elements.keys() ?? [])]))
  const marks = new Set(keys.map((key) => key.slice(0, key.indexOf(' '))))
  return new Set([...marks].flatMap((mark) => listOfMark(layout, Number(mark)) ?? []))
}

function readSlots(state: TableState, layout: MarkLayout): Map<ListId, Record<Family, Target[]>> {
  const slots = new Map<ListId, Record<Family, Target[]>>()
  for (const family of FAMILIES) {
    for (const protocol of PROTOCOLS) {
      for (const { key, value = '' } of state.sets.get(serviceEndpoints(protocol, family))?.elements.values() ?? []) {
        const [mark, index] = key.split(' . ').map(Number)
        const [address = '', port] = value.split(' . ')
        const list = listOfMark(layout, mark ?? 0)
        if (list === null || index === undefined || parseAddress(address) === null) continue
        const known = slots.get(list) ?? { 4: [], 6: [] }
        slots.set(list, known)
        known[family][index] = Object.freeze({ address, port: Number(port) })
      }
    }
  }
  return slots
}
