// The policy cases on a real cluster: written through the API, probed between real pods, both families, TCP and UDP.
//
// SCTP is the lab's. **Invariant:** the nine pods of the cases are made once, and each case finds them as it wants them.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parseCases } from '../../src/lab/cases.ts'
import { runCase } from './case-run.ts'
import { CaseObjects } from './case-objects.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { RealPods } from './pods.ts'

const FILE = 'networkpolicy.json'
const CASES = parseCases(readFileSync(new URL(`../cases/${FILE}`, import.meta.url), 'utf8'), FILE)

describe('policy cases on a real cluster', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let pods: RealPods
  let objects: CaseObjects

  before(async () => {
    cluster = await openCluster(() => undefined)
    pods = await RealPods.open(cluster.nodes)
    objects = new CaseObjects(pods, cluster.nodes)
    const [first] = CASES
    assert.ok(first !== undefined)
    await objects.start(first)
  })

  after(async () => {
    await objects?.end()
    await pods?.close()
  })

  it('there are at least 40 of them', () => assert.ok(CASES.length >= 40))

  for (const one of CASES) it(`${one.id}: ${one.title}`, () => runCase(one, objects, pods, cluster.nodes))
})
