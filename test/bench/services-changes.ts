// One Service added, one endpoint changed, at the size that is there: each alone, with a pause behind it.
//
// Polled by the client all the while. The Service that is added finds its slice there; the endpoint that changes is its Service's
// only one, so that the next connection shows it. **Invariant:** each change is undone, and seen to be, before the next.
import { api } from '../cluster/api.ts'
import { sleep } from '../cluster/processes.ts'
import { addedAddress, CHANGING, DEAD_ADDRESS, endpointAddresses, LIVE_ADDRESS, NAMESPACE, PORT, serviceObject, sliceEndpoints, sliceObject } from './services-objects.ts'
import type { Proxy, Spent } from './services-proxies.ts'
import { milliseconds, type Station } from './services-stage.ts'

export interface Changes {
  /** Milliseconds from the request to the first connection. */
  readonly sent: number[]
  /** From the API server's answer, which may be later than the event. */
  readonly answered: number[]
  /** What the program itself took for the event. */
  readonly own: number[]
}

const LIMIT_MS = 120_000
/**
 * Longer than one sync of kube-proxy and its default pause behind that (1 s) together: what is measured begins at once, and no
 * figure of it is one of the pause. Therefore one event at a time, what undoes a change too.
 */
const PAUSE_MS = 2_500
/** The program's own figures are there. */
const FIGURES_MS = 300

async function timed(proxy: Proxy, station: Station, into: Changes, state: 'open' | 'closed', address: string, change: () => Promise<unknown>): Promise<void> {
  const before = await proxy.spent(station)
  const seen = station.when(state, LIMIT_MS, address, PORT)
  await sleep(20)
  const sent = milliseconds()
  await change()
  const answered = milliseconds()
  const at = await seen
  await sleep(FIGURES_MS)
  into.sent.push(at - sent)
  into.answered.push(at - answered)
  into.own.push(each(before, await proxy.spent(station)))
  await sleep(PAUSE_MS)
}

/** Milliseconds for each event that came between the two. */
function each(before: Spent, after: Spent): number {
  if (after.count === before.count) throw new Error('the program has no figure for a change that is in force')
  return ((after.seconds - before.seconds) * 1000) / (after.count - before.count)
}

export async function changesOf(proxy: Proxy, station: Station, count: number, added: Changes, changed: Changes): Promise<void> {
  for (let i = 0; i < count; i++) {
    const [name, address] = [`added-${i}`, addedAddress(i)]
    await api.create(sliceObject(name, endpointAddresses(i)))
    await sleep(PAUSE_MS)
    await timed(proxy, station, added, 'open', address, () => api.create(serviceObject(name, address)))
    await api.remove('v1', 'Service', NAMESPACE, name)
    await station.when('closed', LIMIT_MS, address, PORT)
    await sleep(PAUSE_MS)
    await api.remove('discovery.k8s.io/v1', 'EndpointSlice', NAMESPACE, `${name}-x7k2p`)
    await sleep(PAUSE_MS)
    const to = (target: string): Promise<unknown> => api.patch('discovery.k8s.io/v1', 'EndpointSlice', NAMESPACE, `${CHANGING.name}-x7k2p`, { endpoints: sliceEndpoints([target]) })
    await timed(proxy, station, changed, 'open', CHANGING.address, () => to(LIVE_ADDRESS))
    await timed(proxy, station, changed, 'closed', CHANGING.address, () => to(DEAD_ADDRESS))
  }
}
