// Sends the flows of a scenario, each as often as it takes to see every endpoint, with controls in the same window.
//
// (world, tries) -> results of each flow, or the reason why there are none. Silence counts only if whoever sends reached the node
// and the host beyond at that moment, and the node every endpoint.
// **Invariant:** how long to wait and whether to ask again depends on controls and answer times, never on what is expected.
import { familyOf } from '../model/ip.ts'
import type { Flow } from './service-case-types.ts'
import { BEYOND, clientOf, CONTROL_PORT, isLoopback, type ServiceWorld, type WorldHost } from './service-world.ts'
import type { ProbeRequest, ProbeResult, Testbed } from './testbed.ts'
import { socketText } from './wire.ts'

export type FlowResults = { readonly kind: 'measured'; readonly results: readonly (readonly ProbeResult[])[] } | { readonly kind: 'unusable'; readonly reason: string }

export interface Tries {
  readonly flow: Flow
  readonly count: number
}

/** Connections at a time: the servers' queues for new ones hold 511. */
const AT_A_TIME = 400
const FIRST_DEADLINE_MS = 800
const SECOND_DEADLINE_MS = 2_500
/** Where answers come closer to the deadline than this, some may have missed it. */
const COMFORTABLE = 0.7

interface Control {
  readonly request: ProbeRequest
  readonly by: string
}

export async function askFlows({ probe }: Pick<Testbed, 'probe'>, world: ServiceWorld, tries: readonly Tries[]): Promise<FlowResults> {
  const controls = controlsFor(world, tries.map(({ flow }) => flow))
  const results: ProbeResult[][] = tries.map(() => [])
  for (const batch of batchesOf(tries)) {
    const requests = batch.map((index) => requestOf(world, (tries[index] as Tries).flow))
    const answers = await askCertain(probe, requests, controls, FIRST_DEADLINE_MS)
    if (typeof answers === 'string') return { kind: 'unusable', reason: answers }
    batch.forEach((index, place) => results[index]?.push(answers[place] as ProbeResult))
  }
  // A flow that was answered and also was not: a packet may have been lost on a machine that is busy.
  const doubtful = results.flatMap((own, index) => {
    const silent = own.filter(({ kind }) => kind === 'silent').length
    return silent > 0 && silent < own.length ? Array.from({ length: silent }, () => index) : []
  })
  const again = await askCertain(probe, doubtful.map((index) => requestOf(world, (tries[index] as Tries).flow)), controls, SECOND_DEADLINE_MS)
  if (typeof again === 'string') return { kind: 'unusable', reason: again }
  const answered = results.map((own, index) => (doubtful.includes(index) ? own.filter(({ kind }) => kind !== 'silent') : own))
  doubtful.forEach((index, place) => answered[index]?.push(again[place] as ProbeResult))
  return { kind: 'measured', results: answered }
}

/** All flows take part in each, so that they run side by side; by their indexes. */
function batchesOf(tries: readonly Tries[]): readonly (readonly number[])[] {
  const batches: number[][] = []
  const left = tries.map(({ count }) => count)
  let batch: number[] = []
  while (left.some((count) => count > 0)) {
    left.forEach((count, index) => {
      if (count === 0) return
      left[index] = count - 1
      batch.push(index)
      if (batch.length < AT_A_TIME) return
      batches.push(batch)
      batch = []
    })
  }
  return batch.length === 0 ? batches : [...batches, batch]
}

function requestOf(world: ServiceWorld, { source, destination, protocol, port }: Flow): ProbeRequest {
  return { from: { kind: 'pod', key: clientOf(world, source).key }, source, address: destination, protocol, port }
}

/** The results; or why they say nothing certain, after a second time. */
async function askCertain(probe: Testbed['probe'], requests: readonly ProbeRequest[], controls: readonly Control[], deadlineMs: number): Promise<readonly ProbeResult[] | string> {
  if (requests.length === 0) return []
  const all = [...requests, ...controls.map(({ request }) => request)]
  let reason = ''
  for (const deadline of [deadlineMs, SECOND_DEADLINE_MS]) {
    const results = await probe(all, deadline)
    const doubt = doubtOf(all, results, controls, deadline * COMFORTABLE)
    if (doubt === null) return results.slice(0, requests.length)
    reason = doubt
  }
  return reason
}

function doubtOf(requests: readonly ProbeRequest[], results: readonly ProbeResult[], controls: readonly Control[], slowest: number): string | null {
  const failed: string[] = []
  for (const [index, request] of requests.entries()) {
    const result = results[index]
    if (result === undefined || result.kind === 'failed') return `${textOf(request)} could not be sent: ${result?.message ?? 'no result'}`
    if (result.kind === 'answered' && result.ms > slowest) return `${textOf(request)} took ${Math.round(result.ms)} ms: the machine is too busy`
    const control = controls[index - (requests.length - controls.length)]
    if (control === undefined || (result.kind === 'answered' && result.by === control.by)) continue
    failed.push(`${textOf(request)} (${result.kind === 'answered' ? `answered by ${result.by}` : result.kind === 'silent' ? 'no answer' : result.message})`)
  }
  if (failed.length === 0) return null
  return `${failed.length} of ${controls.length} control probes failed, which no Service has to do with, such as ${failed.slice(0, 3).join(', ')}`
}

function textOf({ from, source, address, port, protocol }: ProbeRequest): string {
  const key = from.kind === 'pod' ? from.key : from.kind
  return `${key} ${source ?? ''} -> ${socketText(address, port)}/${protocol}`
}

/** Each client to the node and beyond it, in each protocol that it speaks; the node to every endpoint. */
function controlsFor(world: ServiceWorld, flows: readonly Flow[]): readonly Control[] {
  const [node] = world.hosts as [WorldHost]
  const controls = new Map<string, Control>()
  const add = (request: ProbeRequest, by: string): void => void controls.set(textOf(request), { request, by })
  const nodeAddress = (family: 4 | 6): string | undefined => node.addresses.find((one) => familyOf(one) === family)
  for (const { source, protocol } of flows) {
    const client = clientOf(world, source)
    const ownNode = nodeAddress(familyOf(source))
    if (ownNode === undefined || isLoopback(source)) continue
    const from = { kind: 'pod' as const, key: client.key }
    add({ from, source, address: ownNode, protocol, port: CONTROL_PORT }, node.key)
    add({ from, source, address: BEYOND[familyOf(source)], protocol, port: CONTROL_PORT }, 'beyond')
  }
  for (const host of world.hosts.filter(({ role }) => role === 'pod' || role === 'remote')) {
    for (const address of host.addresses) {
      const source = nodeAddress(familyOf(address))
      if (source === undefined) continue
      for (const { protocol, port } of host.ports) add({ from: { kind: 'pod', key: node.key }, source, address, protocol, port }, host.key)
    }
  }
  return [...controls.values()]
}
