// What a change costs: the policies and rows that it touches, counted, in a cluster where everything would be noticed.
import assert from 'node:assert/strict'
import { node, pod, policy, podPeer, podsIn, namespace, ipBlock, service } from '../../support/builders.ts'
import { SILENT, SummaryWorld } from '../../support/summary-world.ts'

const [NAMESPACES, PODS, NODES] = [60, 20, 40]

/** Of 60 namespaces with 3 policies and 20 pods each, on 40 nodes. */
function world(): SummaryWorld {
  const made = new SummaryWorld()
  for (let n = 0; n < NODES; n++) made.nodes(node({ name: `n${n}`, addresses: [`192.168.0.${n}`] })).live(`n${n}`).report(`n${n}`)
  for (let s = 0; s < NAMESPACES; s++) {
    const name = `s${s}`
    made.namespaces(namespace({ name })).services(service({ name, clusterIps: [`10.96.0.${s}`] }))
    made.policies(
      policy({ namespace: name, name: 'all', ingress: [{ peers: [podPeer(podsIn(''))] }] }),
      policy({ namespace: name, name: 'web', pods: 'app=web', egress: [{ peers: [ipBlock('10.0.0.0/8'), podPeer(podsIn('', 'app=web'))] }] }),
      policy({ namespace: name, name: 'job', pods: 'app=job' }),
    )
    for (let p = 0; p < PODS; p++) made.pods(pod({ namespace: name, name: `p${p}`, node: `n${(s + p) % NODES}`, labels: { app: p % 2 === 0 ? 'web' : 'db' }, addresses: [`10.1.${s}.${p}`] }))
  }
  made.step()
  return made
}

describe('the work of the summary', () => {
  const one = world()
  const cost = (change: (of: SummaryWorld) => void): { readonly changed: number; readonly rows: number } => {
    change(one)
    const before = one.store.rowsTouched
    const { changed } = one.step()
    return { changed: changed.size, rows: one.store.rowsTouched - before }
  }

  it('of a report that changes nothing for any policy is none, and of one that fails one policy is that policy', () => {
    assert.equal(cost((of) => of.report('n1')).changed, 0)
    const failure = { ref: { kind: 'NetworkPolicy', namespace: 's1', name: 'all' }, reason: 'R', message: '', since: one.now } as const
    assert.equal(cost((of) => of.report('n1', { failures: [failure], failuresTotal: 1 })).changed, 1)
  })
  it('of a node that becomes silent is the policies with pods there', () => {
    const { changed } = cost((of) => of.live('n2', SILENT))
    assert.ok(changed > 0 && changed <= 2 * PODS, String(changed))
  })
  it('of a pod that comes is the policies that select it, though it is everybody\'s peer', () => {
    const { changed, rows } = cost((of) => of.pods(pod({ namespace: 's3', name: 'new', node: 'n3', labels: { app: 'web' }, addresses: ['10.1.3.200'] })))
    assert.equal(changed, 2)
    assert.ok(rows < 60, String(rows))
  })
  it('of a label of a policy, of a Service and of a Node is none', () => {
    assert.equal(cost((of) => of.policies(policy({ namespace: 's1', name: 'job', pods: 'app=job' }))).changed, 0)
    assert.equal(cost((of) => of.services(service({ name: 'another', clusterIps: ['10.96.1.1'] }))).changed, 0)
    assert.equal(cost((of) => of.nodes(node({ name: 'n5', addresses: ['192.168.0.5'], labels: { zone: 'a' } }))).changed, 0)
  })
  it('of an edit is its policy', () => {
    const { changed, rows } = cost((of) => of.policies(policy({ namespace: 's1', name: 'web', generation: 2, pods: 'app in (web,db)', egress: [] })))
    assert.equal(changed, 1)
    assert.ok(rows < 200, String(rows))
  })
})
