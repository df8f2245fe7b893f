// Pods on a bridge (rule 70), on real packets: policy between pods of one node and of two, and the second table, which
// lets a pod's port send nothing but what is the pod's own (rule 87).
//
// **Invariant:** each test replaces all policies; a packet that must not come is sent beside one that must.
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, egress, ingress, realPod } from '../support/real-objects.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const EVIL = realPod('shop/evil', 'n1', 2, { app: 'evil' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'web' })
const WEB = realPod('shop/web', 'n2', 4, { app: 'web' })

describe('pods on a bridge, on real packets', function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ attachment: 'bridge', namespaces: { shop: {} }, pods: [DB, EVIL, NEAR, WEB] })
  })
  after(() => lab.close())

  const FROM_WEB = { from: [{ podSelector: { matchLabels: { app: 'web' } } }] }

  it('rule 70: ingress policy holds between pods of one node and of two', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }, FROM_WEB))
    await lab.check({ allowed: ['shop/near -> shop/db', 'shop/web -> shop/db'], denied: ['shop/evil -> shop/db'] })
  })

  it('rule 70: egress policy holds between pods of one node and of two', async () => {
    await lab.policies(egress('shop/out', { app: 'evil' }, { to: [{ podSelector: { matchLabels: { app: 'web' } } }] }))
    await lab.check({ allowed: ['shop/evil -> shop/near', 'shop/evil -> shop/web'], denied: ['shop/evil -> shop/db'] })
  })

  it('rule 5: nothing comes in or out where everything is denied', async () => {
    await lab.policies(denyAll('shop'))
    await lab.check({ denied: ['shop/evil -> shop/db', 'shop/web -> shop/db', 'shop/db -> shop/web'] })
  })
})
