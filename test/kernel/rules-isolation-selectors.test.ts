// Isolation and selectors (rules 1-27) on real packets, where the policy cases do not ask: from policy objects as a file
// holds them to who answers whom.
//
// **Invariant:** each test replaces all policies, so that none depends on another.
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, egress, ingress, namespaceObject, nodeObject, podObject, policyObject, realPod } from '../support/real-objects.ts'
import type { RawPeer } from '../support/manifests.ts'
import { sampled } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const API = realPod('shop/api', 'n1', 2, { app: 'api', tier: 'front' })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web', tier: '' })
const BARE = realPod('shop/bare', 'n2', 4, null)
const OTHER = realPod('other/api', 'n2', 5, { app: 'api', tier: 'back' })
const OTHER_NEAR = realPod('other/near', 'n1', 6, { app: 'near' })

/** Everybody but the database asks it; these get an answer. */
const ALL = ['shop/api', 'shop/web', 'shop/bare', 'other/api', 'other/near', 'n2', 'outside']

describe('isolation and selectors, on real packets', function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: { team: 'shop' }, other: {} }, pods: [DB, API, WEB, BARE, OTHER, OTHER_NEAR] })
  })
  after(() => lab.close())

  async function answers(...allowed: readonly string[]): Promise<void> {
    const ask = (from: string): string => `${from} -> shop/db`
    await lab.check({ allowed: allowed.map(ask), denied: ALL.filter((from) => !allowed.includes(from)).map(ask) })
  }

  /** The database answers exactly these when one rule names these peers. */
  async function peers(from: readonly RawPeer[], ...allowed: readonly string[]): Promise<void> {
    await lab.policies(ingress('shop/peers', { app: 'db' }, { from }))
    await answers(...allowed)
  }

  const tests: Readonly<Record<string, () => Promise<void>>> = {
    'rule 1: without a policy everybody is answered': async () => {
      await lab.policies()
      await answers(...ALL)
    },
    'rules 2, 4: ingress alone isolates no egress, and rules of a direction that is not isolated do not matter': async () => {
      await lab.policies(policyObject('shop/p', { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Ingress'], ingress: [], egress: [{ to: [{ podSelector: {} }] }] }))
      await lab.check({ allowed: ['shop/db -> shop/api', 'shop/db -> other/api', 'shop/db -> outside 7061'], denied: ALL.map((from) => `${from} -> shop/db`) })
      await lab.policies(policyObject('shop/p', { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Egress'], egress: [], ingress: [{ from: [{ podSelector: {} }] }] }))
      await lab.check({ allowed: ALL.map((from) => `${from} -> shop/db`), denied: ['shop/db -> shop/api', 'shop/db -> other/api', 'shop/db -> outside 7061'] })
    },
    'rule 3: without policyTypes, ingress always and egress if there are egress rules': async () => {
      await lab.policies(policyObject('shop/p', { podSelector: { matchLabels: { app: 'db' } } }))
      await lab.check({ allowed: ['shop/db -> shop/api'], denied: ['shop/api -> shop/db'] })
      await lab.policies(policyObject('shop/p', { podSelector: { matchLabels: { app: 'db' } }, egress: [{ to: [{ podSelector: { matchLabels: { app: 'web' } } }] }] }))
      await lab.check({ allowed: ['shop/db -> shop/web'], denied: ['shop/api -> shop/db', 'shop/db -> shop/api'] })
    },
    'rule 5: no rules deny all, one empty rule allows all': async () => {
      await lab.policies(ingress('shop/p', {}))
      await answers()
      await lab.policies(ingress('shop/p', {}, {}))
      await answers(...ALL)
    },
    'rule 6: an empty podSelector selects the pods of its own namespace only': async () => {
      await lab.policies(denyAll('shop'))
      await lab.check({ allowed: ['other/near -> other/api', 'other/api -> outside 7061'], denied: ['other/near -> shop/web', 'shop/api -> other/api'] })
    },
    'rule 7: policies are added up, nothing subtracts': async () => {
      const from = (key: string, app: string) => ingress(key, { app: 'db' }, { from: [{ podSelector: { matchLabels: { app } } }] })
      await lab.policies(from('shop/a', 'web'), denyAll('shop'), from('shop/z', 'api'), egress('shop/out', {}, {}))
      await answers('shop/api', 'shop/web')
    },
    'rule 8: both ends must allow it': async () => {
      await lab.policies(egress('shop/out', { app: 'web' }, { to: [{ podSelector: { matchLabels: { app: 'api' } } }] }), ingress('shop/in', { app: 'api' }))
      await lab.check({ allowed: ['shop/web -> n2 7061'], denied: ['shop/web -> shop/api', 'shop/web -> shop/db', 'shop/db -> shop/api'] })
      await lab.policies(egress('shop/out', { app: 'web' }, { to: [{ podSelector: { matchLabels: { app: 'api' } } }] }), ingress('shop/in', { app: 'api' }, { from: [{ podSelector: { matchLabels: { app: 'web' } } }] }))
      await lab.check({ allowed: ['shop/web -> shop/api'], denied: ['shop/web -> shop/db', 'shop/db -> shop/api'] })
    },
    'rule 9: a policy that selects nothing takes effect when a pod matches': async () => {
      await lab.policies(ingress('shop/p', { app: 'late' }))
      await answers(...ALL)
      lab.put(podObject({ ...DB, labels: { app: 'late' } }))
      await lab.settle()
      await answers()
      lab.put(podObject(DB))
      await lab.settle()
      await answers(...ALL)
    },
    'rule 10: a rule that allows SCTP or UDP only isolates TCP': async () => {
      await lab.policies(ingress('shop/p', { app: 'db' }, { ports: [{ protocol: 'SCTP', port: 8080 }] }), egress('shop/q', { app: 'web' }, { ports: [{ protocol: 'UDP' }] }))
      await lab.check({
        allowed: ['shop/api -> shop/db 8080/SCTP', 'shop/web -> shop/api 8080/UDP'],
        denied: ['shop/api -> shop/db 8080/TCP 8080/UDP 9090/SCTP', 'shop/web -> shop/api 8080/TCP 8080/SCTP', 'shop/web -> shop/db 8080/*'],
      })
    },
    'rule 15: namespaceSelector {} (and NotIn) selects pods, never outside hosts or nodes': async () => {
      const pods = ['shop/api', 'shop/web', 'shop/bare', 'other/api', 'other/near']
      await peers([{ namespaceSelector: {} }], ...pods)
      await peers([{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['nobody'] }] } }], ...pods)
    },
    'rules 16, 20: NotIn matches pods that lack the key, and those without labels': async () => {
      await peers([{ podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['api'] }] } }], 'shop/web', 'shop/bare')
      await peers([{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['shop'] }] } }], 'other/api', 'other/near')
    },
    'rule 17: NotIn with several values means none of them': async () => {
      await peers([{ podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['api', 'web'] }] } }], 'shop/bare')
    },
    'rule 18: labels and expressions of one selector must all match': async () => {
      const both = { matchLabels: { app: 'api' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['back', 'middle'] }] }
      await peers([{ namespaceSelector: {}, podSelector: both }], 'other/api')
      await peers([{ podSelector: both }])
    },
    'rule 19: an empty value is a value, not a missing key': async () => {
      await peers([{ podSelector: { matchLabels: { tier: '' } } }], 'shop/web')
      await peers([{ podSelector: { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: [''] }] } }], 'shop/api', 'shop/bare')
      await peers([{ podSelector: { matchExpressions: [{ key: 'tier', operator: 'Exists' }] } }], 'shop/api', 'shop/web')
    },
    'rule 20: a pod without labels matches {}, and DoesNotExist, as peer and as subject': async () => {
      await peers([{ podSelector: {} }], 'shop/api', 'shop/web', 'shop/bare')
      await peers([{ podSelector: { matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] } }], 'shop/bare')
      await lab.policies(policyObject('shop/p', { podSelector: { matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] } }))
      await lab.check({ allowed: ['shop/api -> shop/db'], denied: ['shop/api -> shop/bare'] })
    },
    'rule 23: peers that match nothing open nothing': async () => {
      await peers([{ podSelector: { matchLabels: { app: 'nobody' } } }, { namespaceSelector: { matchLabels: { team: 'nobody' } } }])
      await lab.policies(egress('shop/p', { app: 'db' }, { to: [{ namespaceSelector: { matchLabels: { team: 'nobody' } } }] }))
      await lab.check({ denied: ['shop/db -> shop/api', 'shop/db -> other/api', 'shop/db -> outside 7061', 'shop/db -> n2 7061'] })
    },
    'rules 24, 68: a pod on the host network is neither subject nor peer, and its node is not either': async () => {
      const host = podObject({ ...BARE, key: 'shop/host', uid: 'pod:host', node: 'n2', labels: { app: 'host' }, addresses: [lab.nodeAddress('n2', 4), lab.nodeAddress('n2', 6)] }, { spec: { hostNetwork: true } })
      lab.put(host)
      await peers([{ podSelector: {} }], 'shop/api', 'shop/web', 'shop/bare')
      await peers([{ podSelector: { matchLabels: { app: 'host' } } }])
      await lab.policies(denyAll('shop'), ingress('other/p', { app: 'near' }))
      await lab.check({ allowed: ['n2 -> n1 7061', 'outside -> n2 7061', 'n1 -> n2 7061', 'other/api -> n2 7061'], denied: ['n2 -> other/near'] })
      lab.drop('Pod shop/host')
    },
    'rule 26: peers on every node count': async () => {
      await peers([{ podSelector: { matchLabels: { app: 'api' } } }, { namespaceSelector: {}, podSelector: { matchLabels: { app: 'api' } } }], 'shop/api', 'other/api')
    },
    'rule 27: new labels of a peer, of a target and of a namespace take effect': async () => {
      await peers([{ podSelector: { matchLabels: { role: 'client' } } }, { namespaceSelector: { matchLabels: { team: 'friend' } } }])
      lab.put(podObject({ ...WEB, labels: { role: 'client' } }))
      await lab.settle()
      await answers('shop/web')
      lab.put(namespaceObject('other', { team: 'friend' }))
      await lab.settle()
      await answers('shop/web', 'other/api', 'other/near')
      lab.put(podObject({ ...DB, labels: { app: 'free' } }))
      await lab.settle()
      await answers(...ALL)
      lab.put(podObject(WEB), podObject(DB), namespaceObject('other'))
      await lab.settle()
      await answers()
    },
    'rule 58: a node whose object names other addresses as well still reaches its own pods': async () => {
      lab.put(nodeObject('n1', [lab.nodeAddress('n1', 4), '198.51.100.7', lab.nodeAddress('n1', 6)]))
      await lab.policies(denyAll('shop'))
      await lab.check({ allowed: ['n1 -> shop/db', 'n2 -> shop/web'], denied: ['n1 -> shop/web', 'n2 -> shop/db'] })
    },
  }
  const every = Object.keys(tests).filter((title) => /^rules? (10|15|24)\b/.test(title))
  for (const title of sampled(Object.keys(tests), { every })) it(title, () => tests[title]?.())
})
