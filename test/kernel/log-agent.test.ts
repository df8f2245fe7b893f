// What a real agent does with annotations: its kernel's rules change within 2 s, without any policy having changed.
//
// **Invariant:** what counts is the table that the kernel lists.
import assert from 'node:assert/strict'
import { labelHash } from '../../src/ruleset/log-prefix.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { ingress, namespaceObject, realPod, type PlainObject } from '../support/real-objects.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n1', 2, { app: 'web' })
const LIMIT_MS = 2_000

describe('annotations of what is logged, with an agent', function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => (lab = await RealCluster.open({ nodes: 1, namespaces: { shop: {} }, pods: [DB, WEB] })))
  after(() => lab.close())

  const annotated = (object: PlainObject, annotations: Readonly<Record<string, string>>): PlainObject => {
    const named = Object.fromEntries(Object.entries(annotations).map(([name, value]) => [`audit.picket.dev/${name}`, value]))
    return { ...object, metadata: { ...object.metadata, annotations: named } }
  }
  const policy = (annotations: Readonly<Record<string, string>>): PlainObject => annotated(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'web' } } }] }), annotations)
  const profileLogs = (listing: string): readonly string[] => [...listing.matchAll(/log prefix "picket\/((?:denied|allowed)\/[^"]*)"/g)].map(([, text = '']) => text.replace(/\/i\/.*\/(-|\d+\.\d+)\//, '/'))

  /** Writes the objects, and waits until the kernel's table says it: not longer than 2 s. */
  async function within(say: readonly string[], ...objects: readonly PlainObject[]): Promise<void> {
    const start = performance.now()
    lab.put(...objects)
    await lab.write()
    await lab.until('n1', (listing) => [...new Set(profileLogs(listing))].sort().join() === [...say].sort().join())
    const took = performance.now() - start
    assert.ok(took < LIMIT_MS, `took ${took.toFixed(0)} ms`)
  }

  it('of a policy: log, sample and label, within 2 s', async () => {
    await within(['denied/1/-'], policy({}))
    await within([], policy({ log: 'none' }))
    await within(['denied/1/-', 'allowed/1/-'], policy({ log: 'all' }))
    await within([`allowed/100/${labelHash('x')}`], policy({ log: 'allow', sample: '1/100', label: 'x' }))
    await within(['denied/1/-'], policy({}))
  })

  it('of a namespace, and what a policy says goes before it', async () => {
    const space = (annotations: Readonly<Record<string, string>>): PlainObject => annotated(namespaceObject('shop'), annotations)
    await within(['denied/1/-'], policy({}))
    await within([], space({ log: 'none' }))
    await within(['allowed/1/-'], policy({ log: 'allow' }))
    await within(['denied/1/-', 'allowed/1/-'], space({ log: 'all' }), policy({}))
    await within(['denied/1/-'], space({}))
  })

  it('ends by itself when its time has come', async () => {
    const end = Date.now() + 3_000
    await within(['denied/1/-', 'allowed/1/-'], policy({ log: 'all', until: new Date(end).toISOString() }))
    await lab.until('n1', (listing) => !profileLogs(listing).some((text) => text.startsWith('allowed')))
    const late = Date.now() - end
    assert.ok(late >= 0 && late < LIMIT_MS, `${late} ms late`)
  })

  it('leaves everything enforced with everything logged', async () => {
    await within(['denied/1/-', 'allowed/1/-'], policy({ log: 'all' }))
    await lab.settle()
    await lab.check({ allowed: ['shop/web -> shop/db'], denied: [] })
    await lab.policies(annotated(ingress('shop/in', { app: 'db' }), { log: 'all' }))
    await lab.check({ allowed: [], denied: ['shop/web -> shop/db'] })
  })
})
