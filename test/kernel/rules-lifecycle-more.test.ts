// Phases of pods and namespaces in which containers run already, or still (rules 90, 96, 99), on real packets.
//
// **Invariant:** each test ends with the objects as before() put them.
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, ingress, namespaceObject, podObject, realPod } from '../support/real-objects.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n2', 2, { app: 'web' })
const GUEST = realPod('leaving/guest', 'n1', 3, { app: 'guest' })
const FAR_GUEST = realPod('leaving/far', 'n2', 4, { app: 'guest' })

for (const attachment of ['veth', 'bridge'] as const) describe(`phases, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {}, leaving: { team: 'x' } }, pods: [DB, WEB, GUEST, FAR_GUEST], attachment })
  })
  after(() => lab.close())

  it('rule 90: a pod that has its address is isolated while it is Pending and its init containers run', async () => {
    const pending = (phase: string, initState: object) => podObject(DB, {
      spec: { initContainers: [{ name: 'init', image: 'init' }] },
      status: { phase, initContainerStatuses: [{ name: 'init', state: initState }], containerStatuses: [{ name: 'server', ready: false, state: { waiting: { reason: 'PodInitializing' } } }] },
    })
    await lab.policies(denyAll('shop'))
    for (const object of [pending('Pending', { running: {} }), pending('Pending', { terminated: { exitCode: 0 } }), pending('Unknown', { running: {} }), podObject(DB)]) {
      lab.put(object)
      await lab.settle()
      await lab.check({ denied: ['shop/web -> shop/db 8080/*', 'shop/db -> shop/web 8080/*', 'shop/db -> outside 7061'], allowed: ['leaving/guest -> leaving/far'] })
    }
  })

  it('rule 99: in a namespace that is Terminating policies hold, and its pods stay peers by its labels, until each is gone', async () => {
    const space = namespaceObject('leaving', { team: 'x' })
    const terminating = { ...space, metadata: { ...space.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' }, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Terminating' } }
    const guard = ingress('leaving/in', {}, { from: [{ podSelector: {} }] })
    const fromX = ingress('shop/in', { app: 'db' }, { from: [{ namespaceSelector: { matchLabels: { team: 'x' } } }] })
    await lab.policies(guard, fromX)
    lab.put(terminating)
    lab.put(podObject(GUEST, { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }))
    await lab.settle()
    const answers = { allowed: ['leaving/guest -> shop/db', 'leaving/far -> shop/db', 'leaving/far -> leaving/guest'], denied: ['shop/web -> leaving/guest', 'shop/web -> leaving/far', 'shop/web -> shop/db'] }
    await lab.check(answers)
    // The other policy's end takes nothing from this one.
    await lab.policies(guard)
    await lab.check({ denied: ['shop/web -> leaving/guest', 'shop/db -> leaving/far'], allowed: ['leaving/guest -> leaving/far'] })
    // The namespace is gone before the policy is told to be.
    lab.drop('Namespace leaving')
    await lab.settle()
    await lab.check({ denied: ['shop/web -> leaving/guest', 'shop/db -> leaving/far'] })
    lab.put(space)
    lab.put(podObject(GUEST))
    await lab.policies()
    await lab.check({ allowed: ['shop/web -> leaving/guest'] })
  })
})
