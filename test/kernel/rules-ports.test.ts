// Ports (rules 28-45) on real packets, where the policy cases do not ask: the ends of ranges, overlaps, named ports that
// differ from pod to pod, and long lists.
//
// **Invariant:** each test replaces all policies; what is asked for is really served, so that silence means denied.
import { RealCluster } from '../support/real-cluster.ts'
import { egress, EVERY_PROTOCOL, ingress, podObject, realPod, type PlainObject, type RealPort } from '../support/real-objects.ts'
import type { RawPeer, RawPort } from '../support/manifests.ts'
import { sampled } from '../support/sample.ts'

const on = (...numbers: readonly number[]): readonly RealPort[] => EVERY_PROTOCOL.flatMap((protocol) => numbers.map((port) => ({ protocol, port })))
/** Served by every pod over each protocol. */
const SERVED = [1, 79, 80, 81, 89, 90, 91, 100, 101, 8080, 8081, 9090, 65534, 65535]

const DB = realPod('shop/db', 'n1', 1, { app: 'db' }, {
  ports: [...on(...SERVED), { protocol: 'TCP', port: 80, name: 'http' }, { protocol: 'UDP', port: 81, name: 'http' }, { protocol: 'TCP', port: 8081, name: 'admin' }],
})
const API = realPod('shop/api', 'n2', 2, { app: 'api' }, { ports: [...on(...SERVED), { protocol: 'TCP', port: 8080, name: 'http' }, { protocol: 'UDP', port: 9090, name: 'admin' }] })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web' }, { ports: on(...SERVED) })

describe('ports, on real packets', function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [DB, API, WEB] })
  })
  after(() => lab.close())

  const inTo = (app: string, ...ports: readonly RawPort[]): PlainObject => ingress(`shop/in-${app}`, { app }, { ports })

  /** web -> db reaches exactly these of all served ports, over each protocol: `80/TCP`. */
  async function open(ports: readonly string[], from = 'shop/web', to = 'shop/db'): Promise<void> {
    const all = SERVED.flatMap((port) => EVERY_PROTOCOL.map((protocol) => `${port}/${protocol}`))
    for (const one of ports) if (!all.includes(one)) throw new Error(`${one} is not served`)
    const ask = (list: readonly string[]): readonly string[] => list.map((port) => `${from} -> ${to} ${port}`)
    await lab.check({ allowed: ask(ports), denied: ask(all.filter((one) => !ports.includes(one))) })
  }
  const tcp = (...ports: readonly number[]): readonly string[] => ports.map((port) => `${port}/TCP`)

  const tests: Readonly<Record<string, () => Promise<void>>> = {
    'rule 28: ports [] means all of them': async () => {
      await lab.policies(ingress('shop/p', { app: 'db' }, { ports: [] }))
      await open(SERVED.flatMap((port) => EVERY_PROTOCOL.map((protocol) => `${port}/${protocol}`)))
    },
    'rule 29: a port without protocol is TCP': async () => {
      await lab.policies(inTo('db', { port: 80 }))
      await open(tcp(80))
    },
    'rule 30: a protocol without port is all ports of that protocol': async () => {
      await lab.policies(inTo('db', { protocol: 'UDP' }))
      await open(SERVED.map((port) => `${port}/UDP`))
      await lab.policies(inTo('db', { protocol: 'SCTP' }, { port: 90 }))
      await open([...SERVED.map((port) => `${port}/SCTP`), '90/TCP'])
    },
    'rule 31: ports belong to the peers of their own rule': async () => {
      const from = (app: string): readonly RawPeer[] => [{ podSelector: { matchLabels: { app } } }]
      await lab.policies(ingress('shop/p', { app: 'db' }, { from: from('web'), ports: [{ port: 80 }] }, { from: from('api'), ports: [{ port: 90 }] }))
      await open(tcp(80))
      await open(tcp(90), 'shop/api')
    },
    'rule 32: endPort includes both ends; equal to port; down to 1 and up to 65535': async () => {
      await lab.policies(inTo('db', { port: 80, endPort: 90 }))
      await open(tcp(80, 81, 89, 90))
      await lab.policies(inTo('db', { port: 80, endPort: 80 }, { port: 1, endPort: 1, protocol: 'UDP' }, { port: 65535, endPort: 65535, protocol: 'SCTP' }))
      await open(['80/TCP', '1/UDP', '65535/SCTP'])
      await lab.policies(inTo('db', { port: 1, endPort: 80 }, { port: 65535, endPort: 65535 }))
      await open(tcp(1, 79, 80, 65535))
      await lab.policies(inTo('db', { port: 1, endPort: 65535 }))
      await open(tcp(...SERVED))
    },
    'rule 33: an endPort below port, or beside a name, opens nothing, and the other ports stay': async () => {
      await lab.policies(ingress('shop/low', { app: 'db' }, { ports: [{ port: 90, endPort: 80 }] }))
      await open([])
      await lab.policies(ingress('shop/name', { app: 'db' }, { ports: [{ port: 'http', endPort: 90 }] }, { ports: [{ port: 100 }] }))
      await open(tcp(100))
    },
    'rule 34: ranges and single ports of one rule may overlap, touch and repeat': async () => {
      const overlapping = [{ port: 80, endPort: 90 }, { port: 90 }, { port: 89, endPort: 100 }, { port: 80 }, { port: 80, endPort: 90 }, { port: 101, endPort: 101 }]
      await lab.policies(inTo('db', ...overlapping))
      await open(tcp(80, 81, 89, 90, 91, 100, 101))
      await lab.policies(inTo('db', ...overlapping.toReversed(), { protocol: 'TCP' }))
      await open(tcp(...SERVED))
      await lab.policies(inTo('db', { port: 1, endPort: 79 }, { port: 80 }, { port: 81, endPort: 90 }, { port: 80, endPort: 81, protocol: 'UDP' }))
      await open([...tcp(1, 79, 80, 81, 89, 90), '80/UDP', '81/UDP'])
    },
    'rule 35: a named port of ingress is that of the selected pod, not of the source': async () => {
      await lab.policies(inTo('db', { port: 'http' }))
      await open(tcp(80), 'shop/api')
    },
    'rules 36, 37: a named port of egress is that of each destination, without mixing': async () => {
      await lab.policies(egress('shop/p', { app: 'web' }, { ports: [{ port: 'http' }] }))
      await open(tcp(80))
      await open(tcp(8080), 'shop/web', 'shop/api')
    },
    'rule 37: one name, other numbers, on two pods that one policy selects': async () => {
      await lab.policies(ingress('shop/p', {}, { ports: [{ port: 'http' }] }))
      await open(tcp(80))
      await open(tcp(8080), 'shop/web', 'shop/api')
    },
    'rule 38: the protocol of a named port must match too': async () => {
      await lab.policies(inTo('db', { port: 'http', protocol: 'UDP' }))
      await open(['81/UDP'])
      await lab.policies(egress('shop/p', { app: 'web' }, { ports: [{ port: 'admin', protocol: 'UDP' }] }))
      await open([])
      await open(['9090/UDP'], 'shop/web', 'shop/api')
    },
    'rule 39: a name that the pod does not have matches nothing': async () => {
      await lab.policies(inTo('db', { port: 'absent' }))
      await open([])
      await lab.policies(ingress('shop/p', { app: 'web' }, { ports: [{ port: 'http' }] }))
      await open([], 'shop/api', 'shop/web')
      await lab.policies(egress('shop/p', { app: 'web' }, { ports: [{ port: 'absent' }] }))
      await open([])
    },
    'rule 40: of a name that one pod has twice the first counts': async () => {
      const twice = [{ name: 'twice', protocol: 'TCP', containerPort: 89 }]
      lab.put(podObject(DB, { spec: { containers: [{ name: 'a', ports: twice }, { name: 'b', ports: [{ ...twice[0], containerPort: 91 }] }] } }))
      await lab.policies(inTo('db', { port: 'twice' }))
      await open(tcp(89))
      lab.put(podObject(DB))
    },
    'rule 41: ports of sidecars count, those of other init containers do not': async () => {
      const init = (name: string, containerPort: number, more = {}): object => ({ name, ports: [{ name, protocol: 'TCP', containerPort }], ...more })
      lab.put(podObject(DB, { spec: { initContainers: [init('sidecar', 100, { restartPolicy: 'Always' }), init('once', 101)] } }))
      await lab.policies(inTo('db', { port: 'sidecar' }, { port: 'once' }), egress('shop/p', { app: 'api' }, { ports: [{ port: 'sidecar' }, { port: 'once' }] }))
      await open(tcp(100))
      await open(tcp(100), 'shop/api')
      lab.put(podObject(DB))
    },
    'rule 42: a named port toward an ipBlock matches nothing': async () => {
      await lab.policies(egress('shop/p', { app: 'web' }, { to: [{ ipBlock: { cidr: '192.168.61.0/24' } }], ports: [{ port: 'http' }] }))
      await lab.check({ denied: ['shop/web -> outside 7061/*', 'shop/web -> shop/db 80'] })
    },
    'rule 44: a port is the destination port in both directions': async () => {
      await lab.policies(egress('shop/p', { app: 'web' }, { ports: [{ port: 90 }] }), inTo('db', { port: 90 }, { port: 80 }))
      await open(tcp(90))
      await open(tcp(80, 90), 'shop/api')
    },
    'rule 45: a list of 40 ports, numbers, ranges, names and protocols mixed': async () => {
      const numbers = Array.from({ length: 30 }, (_, index): RawPort => ({ port: 20_000 + 7 * index, protocol: EVERY_PROTOCOL[index % 3] as string }))
      const others: readonly RawPort[] = [{ port: 'http' }, { port: 'http', protocol: 'UDP' }, { port: 'admin' }, { port: 'absent' }, { port: 89, endPort: 100 }, { port: 1 }]
      const last: readonly RawPort[] = [{ port: 90, protocol: 'UDP' }, { port: 65534, endPort: 65535, protocol: 'SCTP' }, { port: 30_000, endPort: 40_000 }, { port: 9090, protocol: 'UDP' }]
      await lab.policies(inTo('db', ...numbers, ...others, ...last))
      await open([...tcp(1, 80, 89, 90, 91, 100, 8081), '81/UDP', '90/UDP', '9090/UDP', '65534/SCTP', '65535/SCTP'])
    },
    'rule 45: the number of a named port changes': async () => {
      await lab.policies(inTo('db', { port: 'http' }), egress('shop/p', { app: 'api' }, { ports: [{ port: 'http' }] }))
      await open(tcp(80))
      lab.put(podObject({ ...DB, ports: [{ protocol: 'TCP', port: 100, name: 'http' }] }))
      await lab.settle()
      await open(tcp(100))
      await open(tcp(100), 'shop/api')
      lab.put(podObject(DB))
    },
  }
  const every = Object.keys(tests).filter((title) => /^rules? (30|34|37)\b/.test(title))
  for (const title of sampled(Object.keys(tests), { every })) it(title, () => tests[title]?.())
})
