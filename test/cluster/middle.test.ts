// A watch of the real API server that is cut, stalled and garbled on its way: the reflector ends in the server's state each time.
//
// Rule 104 with the server's own bytes. **Invariant:** what is compared is what the server lists itself, afterwards.
import assert from 'node:assert/strict'
import { USUAL_LIMITS } from '../../src/kube/transport.ts'
import { RESOURCES } from '../../src/kube/resources.ts'
import type { Policy } from '../../src/model/policy.ts'
import { api, type KubeObject } from './api.ts'
import { Disturber, type Disturbance } from './disturber.ts'
import { until } from './processes.ts'
import { Follower, kubeconfigText, TemporaryFolder } from '../support/cluster-follower.ts'

const NS = 'middle'
/** A stalled watch is noticed after this; a server's bookmark comes once a minute. */
const QUIET_MS = 5_000
const POLICIES = 20

describe('a watch that is disturbed on its way', function () {
  this.timeout(60_000)
  let disturber: Disturber
  let folder: TemporaryFolder
  let follower: Follower

  before(async () => {
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } })
    disturber = await Disturber.start()
    folder = await TemporaryFolder.make()
    const text = kubeconfigText(disturber.url, { cluster: { 'certificate-authority-data': Buffer.from(disturber.authority).toString('base64') } })
    follower = await Follower.start({ access: { kubeconfig: await folder.write('kubeconfig', text), context: null, apiServers: [] }, limits: { ...USUAL_LIMITS, quiet: QUIET_MS } })
    await follower.until('all is synced', () => follower.synced.length === RESOURCES.length)
    for (let index = 0; index < POLICIES; index++) await api.create(policy(index, 'new'))
    await untilSame()
  })

  after(async () => {
    await follower?.close()
    await disturber?.close()
    await folder?.remove()
    await api.remove('v1', 'Namespace', null, NS)
  })

  for (const how of ['cut', 'stall', 'garble'] as const satisfies readonly Disturbance[]) {
    it(`rule 104: ${how}: what changes meanwhile is known afterwards, and nothing else is lost`, async () => {
      const seen = disturber.watchesSeen
      assert.ok(disturber.disturb(how) >= RESOURCES.length, 'a watch of each resource is open')
      // While nothing comes through, or nothing that can be read: one of each kind of change.
      await api.replace(policy(1, how))
      await api.remove('networking.k8s.io/v1', 'NetworkPolicy', NS, name(2))
      await api.create(policy(2, how))
      await api.remove('networking.k8s.io/v1', 'NetworkPolicy', NS, name(3))
      await untilSame()
      await api.create(policy(3, how))
      await untilSame()
      assert.ok(disturber.watchesSeen > seen, 'it watches anew')
    })
  }

  it('and is told as a problem only while it lasts', async () => {
    await follower.until('no problem is left', () => follower.problems.length === 0)
  })

  function name(index: number): string {
    return `p${index}`
  }

  function policy(index: number, value: string): KubeObject {
    return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: NS, name: name(index) }, spec: { podSelector: { matchLabels: { value } } } }
  }

  /** Policies by UID and generation, which every edit raises. */
  async function untilSame(): Promise<void> {
    await until('what is known is what the server lists', 20_000, async () => {
      const there = (await api.list('networking.k8s.io/v1', 'NetworkPolicy', null)).map(({ metadata }) => `${metadata.uid} ${metadata.generation}`)
      return there.sort().join('\n') === known().join('\n') ? true : null
    }, () => JSON.stringify(follower.state).slice(0, 800))
  }

  function known(): readonly string[] {
    const rows = [...(follower.rows.get('policy')?.values() ?? [])].map((decoded) => (decoded as { readonly row: Policy }).row)
    return rows.map(({ uid, generation }) => `${uid} ${generation}`).sort()
  }
})
