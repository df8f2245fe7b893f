// How long a connection goes on that lost its permission: from the commit to the last packet of a server's streams, with
// 100,000 entries in the node's conntrack.
//
// A real node, a real agent, UDP streams on both families to a client that spoke once; a policy denies the client, later
// it goes again, and so on. The entries belong to other pods, or all to the server that is cut.
// **Invariant:** times are of this machine's one clock: the agent's programmedAt, and the client's last datagram.
import { RealCluster } from '../support/real-cluster.ts'
import { ingress, realPod } from '../support/real-objects.ts'
import { StreamClient, streamServer } from '../support/real-stream.ts'
import { pause } from '../support/real-wire.ts'
import { fileURLToPath } from 'node:url'
import { median, type Bench, type Figure } from './bench.ts'

const ENTRIES = 100_000
const ROUNDS = 7
const PORT = 6001
const FILL = fileURLToPath(new URL('../support/fill-conntrack.ts', import.meta.url))
const FLUSH = fileURLToPath(new URL('../support/flush-conntrack.ts', import.meta.url))
const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n1', 2, { app: 'web' })
const OTHER = realPod('shop/other', 'n1', 3, { app: 'other' })

async function rounds(lab: RealCluster, note: (text: string) => void): Promise<readonly number[]> {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await lab.policies()
    const clients = DB.addresses.map((address) => new StreamClient(lab, WEB.key, 'udp', address, PORT))
    for (const one of clients) await one.flows()
    await lab.policies(ingress('shop/in', { app: 'db' }))
    for (let last = -1, now = 0; now !== last; ) {
      // Longer than any pause of a stream, and than the second look.
      await pause(1_500)
      last = now
      now = (await Promise.all(clients.map((one) => one.received()))).reduce((sum, one) => sum + one.messages, 0)
    }
    const answer = await lab.agents.get('n1', '/status')
    const { programmedAt } = JSON.parse(answer?.body ?? '{}') as { programmedAt: string }
    const last = Math.max(...(await Promise.all(clients.map(async (one) => (await one.received()).lastAt))))
    times.push(Math.max(0, last - Date.parse(programmedAt)))
    for (const one of clients) one.close()
  }
  note(`${times.join(', ')} ms`)
  return times
}

async function run(note: (text: string) => void): Promise<readonly Figure[]> {
  const lab = await RealCluster.open({ nodes: 1, namespaces: { shop: {} }, pods: [DB, WEB, OTHER] })
  const server = await streamServer(lab, DB.key, 'udp', PORT)
  const figures: Figure[] = []
  try {
    const cases = [
      { name: 'short table', to: null },
      { name: '100,000 entries of other pods', to: OTHER.addresses[0] },
      { name: '100,000 entries of the pod itself', to: DB.addresses[0] },
    ]
    for (const { name, to } of cases) {
      lab.run('n1', [process.execPath, FLUSH])
      if (to !== null && to !== undefined) lab.run('n1', [process.execPath, FILL, String(ENTRIES), to, String(PORT), '10.77'])
      note(name)
      const times = await rounds(lab, note)
      figures.push({ name: `${name}: median`, value: median(times), unit: 'ms', aim: '< 200' }, { name: `${name}: worst`, value: Math.max(...times), unit: 'ms', aim: '' })
    }
  } finally {
    server.close()
    await lab.close()
  }
  return figures
}

export const bench: Bench = { name: 'cut', about: 'from a commit to the last packet of a connection that lost its permission', run }
