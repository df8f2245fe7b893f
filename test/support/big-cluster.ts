// A large cluster of ordinary shape, as rows: for benchmarks and for the tests that count work.
//
// Fifty pods a namespace in five apps, five policies a namespace of the common kinds, local pods spread evenly.
// **Invariant:** pure: the same sizes give the same rows.
import type { HostInterface, Namespace, Pod } from '../../src/model/objects.ts'
import type { Peer, Policy, PolicyPort } from '../../src/model/policy.ts'
import { podSelector } from '../../src/model/selector.ts'
import { parseCidr } from '../../src/model/ip.ts'
import { hostInterface, namespace, pod, policy, selector } from './builders.ts'

export const LOCAL_NODE = 'n1'
const PODS_PER_NAMESPACE = 50
const APPS = ['web', 'api', 'db', 'cache', 'job'] as const

export interface BigCluster {
  readonly namespaces: readonly Namespace[]
  readonly pods: readonly Pod[]
  readonly policies: readonly Policy[]
  readonly interfaces: readonly HostInterface[]
}

export function bigCluster(size: { readonly pods: number; readonly local: number }): BigCluster {
  const count = Math.ceil(size.pods / PODS_PER_NAMESPACE)
  const namespaces = Array.from({ length: count }, (_, i) => namespace({ name: `ns${i}`, labels: { team: `team${i % 20}`, tier: i % 2 === 0 ? 'front' : 'back' } }))
  const every = Math.floor(size.pods / size.local)
  const pods = Array.from({ length: size.pods }, (_, i) => onePod(i, i % every === 0 && i / every < size.local))
  const policies = namespaces.flatMap((n) => policiesOf(n.name))
  const interfaces = pods
    .filter((p) => p.node === LOCAL_NODE)
    .map((p, i) => hostInterface({ index: 10 + i, name: `veth${i}`, hostRoutes: p.addresses }))
  return { namespaces, pods, policies, interfaces }
}

export function onePod(i: number, isLocal: boolean, labels: Readonly<Record<string, string>> = {}): Pod {
  const app = APPS[i % APPS.length] as string
  return pod({
    uid: `pod-${i}`,
    namespace: `ns${Math.floor(i / PODS_PER_NAMESPACE)}`,
    name: `${app}-${i}`,
    node: isLocal ? LOCAL_NODE : `n${2 + (i % 500)}`,
    addresses: [`10.${(i >> 14) & 255}.${(i >> 7) & 127}.${1 + (i & 127)}`, `fd00::${(i + 1).toString(16)}`],
    labels: { app, release: `r${i % 3}`, zone: `z${i % 4}`, 'pod-template-hash': `h${i % 97}`, ...labels },
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 + (i % 2) }],
    createdAt: i,
  })
}

const tcp = (port: number): PolicyPort => ({ kind: 'range', protocol: 'TCP', first: port, last: port })
const dns: readonly PolicyPort[] = [{ kind: 'range', protocol: 'UDP', first: 53, last: 53 }, tcp(53)]

function policiesOf(name: string): Policy[] {
  const own = (text: string): Peer => ({ kind: 'pods', selector: podSelector({ kind: 'named', name }, selector(text)) })
  const others = (spaces: string, text: string): Peer => ({ kind: 'pods', selector: podSelector({ kind: 'matching', selector: selector(spaces) }, selector(text)) })
  const block: Peer = { kind: 'ipBlock', cidr: parseCidr('0.0.0.0/0')!, except: [parseCidr('10.0.0.0/8')!, parseCidr('192.168.0.0/16')!] }
  return [
    policy({ namespace: name, name: 'default-deny', ingress: [], egress: [] }),
    policy({ namespace: name, name: 'web', pods: 'app=web', ingress: [{ peers: [block], ports: [tcp(443), tcp(80)] }, { peers: [others('team=team1', 'app=job')] }] }),
    policy({ namespace: name, name: 'api', pods: 'app=api', ingress: [{ peers: [own('app=web')], ports: [{ kind: 'named', protocol: 'TCP', name: 'http' }] }] }),
    policy({ namespace: name, name: 'db', pods: 'app in (db,cache)', ingress: [{ peers: [own('app=api')], ports: [tcp(5432), tcp(6379)] }] }),
    policy({ namespace: name, name: 'egress', egress: [{ ports: dns }, { peers: [own('')] }, { peers: [block], ports: [tcp(443)] }] }),
  ]
}
