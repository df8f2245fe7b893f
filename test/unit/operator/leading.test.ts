// Two operators against a real server: who leads writes, nobody else does, and what an outage leaves.
//
// **Invariant:** each write is judged at the server, as it arrives, by who holds the Lease then.
import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { startOperator, type Operator } from '../../../src/operator/operator.ts'
import type { TermOptions } from '../../../src/operator/term-parts.ts'
import { Term } from '../../../src/operator/term.ts'
import type { OperatorConfig } from '../../../src/settings.ts'
import { openLog } from '../../../src/telemetry/log.ts'
import type { Asked } from '../../support/api-server.ts'
import { OperatorWorld } from '../../support/operator-world.ts'

const LEASES = '/apis/coordination.k8s.io/v1/leases'
const AWAY = { status: 503, body: '{}' }

describe('operator: leading', () => {
  let world: OperatorWorld
  let operators: Map<string, Operator>
  let writes: { readonly who: string; readonly what: string; readonly at: number }[]
  let away: Set<string>
  let failures: unknown[]

  beforeEach(async () => {
    world = await OperatorWorld.start()
    operators = new Map()
    writes = []
    away = new Set()
    failures = []
    world.pod('a')
    world.policy('web')
    world.server.behaviour.instead = (asked) => {
      const who = nameOf(asked)
      if (away.has(who)) return AWAY
      if (asked.method !== 'GET' && asked.path.includes('picket.dev')) {
        assert.equal(holder(), who, `${who} writes ${asked.path}, ${holder()} holds the Lease`)
        writes.push({ who, what: `${asked.method} ${asked.path.split('/').at(-1) ?? ''}`, at: world.clock.now() })
      }
      return null
    }
  })
  afterEach(async () => {
    away.clear()
    for (const name of operators.keys()) await ended(name)
    await world.close()
    assert.deepEqual(failures, [])
  })

  const nameOf = ({ authorization = '' }: Asked): string => authorization.replace('Bearer ', '')
  const holder = (): string => String((world.server.list(LEASES)[0]?.['spec'] as { readonly holderIdentity?: string } | undefined)?.holderIdentity ?? '').replace(/_.*/, '')
  const programmed = (name: string): boolean => world.said(name).startsWith('True/')

  async function started(name: string, { address = 'none', newTerm = undefined as ((options: TermOptions) => Term) | undefined } = {}): Promise<void> {
    const source = { kind: 'kube', kubeconfig: await world.kubeconfigOf(name), context: null, apiServers: [] } as OperatorConfig['source']
    const config: OperatorConfig = { source, namespace: 'picket-system', podName: name, address, logLevel: 'error' }
    operators.set(name, await startOperator(config, world.clock, openLog('silent', {}), (error) => failures.push(error), newTerm))
  }

  async function ended(name: string): Promise<void> {
    const operator = operators.get(name)
    operators.delete(name)
    if (operator !== undefined) await world.ended(operator)
  }

  it('one of two writes; when it ends the other goes on at once, and writes nothing where nothing changed', async () => {
    await started('one')
    await world.until('one leads', () => holder() === 'one')
    await started('two')
    await world.until('it is told', () => programmed('web') && world.reporting('n1') !== '' && world.reporting('n2') !== '')
    await world.pass(5_000)
    assert.deepEqual(new Set(writes.splice(0).map(({ who }) => who)), new Set(['one']))
    const at = world.clock.now()
    await ended('one')
    await world.until('two leads', () => holder() === 'two')
    assert.ok(world.clock.now() - at < 5_000, 'not at once')
    await world.pass(20_000)
    assert.deepEqual(writes, [])
    world.policy('more')
    await world.until('two tells it', () => programmed('more'))
    assert.deepEqual(new Set(writes.map(({ who }) => who)), new Set(['two']))
  })

  it('a leader that is cut off is followed by another, and does not write when it is back', async () => {
    await started('one')
    await world.until('it is told', () => programmed('web'))
    await started('two')
    await world.pass(3_000)
    away.add('one')
    world.server.cut()
    await world.until('two leads', () => holder() === 'two')
    writes.splice(0)
    away.clear()
    world.policy('more')
    await world.until('two tells it', () => programmed('more'))
    await world.pass(20_000)
    assert.deepEqual(new Set(writes.map(({ who }) => who)), new Set(['two']))
  })

  for (const seconds of [30, 300]) it(`an API server that is away for ${seconds} s: whoever leads then keeps quiet for 60 s, and goes on`, async () => {
    await started('one')
    await world.until('it is told', () => programmed('web'))
    await started('two')
    await world.pass(3_000)
    for (const name of ['one', 'two']) away.add(name)
    world.server.cut()
    await world.pass(seconds * 1000)
    away.clear()
    writes.splice(0)
    const back = world.clock.now()
    world.policy('more')
    await world.until('it is told', () => programmed('more'))
    assert.ok((writes[0]?.at ?? 0) - back >= 60_000, `after ${(writes[0]?.at ?? 0) - back} ms`)
    assert.ok((writes[0]?.at ?? 0) - back < 120_000, `after ${(writes[0]?.at ?? 0) - back} ms`)
  })

  it('one who waited through an outage keeps quiet, too', async () => {
    await started('one')
    await world.until('it is told', () => programmed('web'))
    await started('two')
    await world.pass(3_000)
    for (const name of ['one', 'two']) away.add(name)
    world.server.cut()
    await world.pass(40_000)
    away.delete('two')
    writes.splice(0)
    const back = world.clock.now()
    world.policy('more')
    await world.until('two tells it', () => programmed('more'))
    assert.deepEqual(new Set(writes.map(({ who }) => who)), new Set(['two']))
    assert.ok((writes[0]?.at ?? 0) - back >= 60_000, `after ${(writes[0]?.at ?? 0) - back} ms`)
  })

  it('a mistake of our own ends a term, and not the process: another one begins, later and later', async () => {
    const terms: number[] = []
    let isWrong = true
    const newTerm = (options: TermOptions): Term => {
      terms.push(world.clock.now())
      const onStep = (): void => {
        if (isWrong) throw new TypeError('planted')
      }
      return new Term({ ...options, onStep })
    }
    const address = `127.0.0.1:${await freePort()}`
    await started('one', { newTerm, address })
    await world.until('it was tried thrice', () => terms.length === 3)
    const [first = 0, second = 0, third = 0] = terms
    assert.ok(second - first >= 2_500 && third - second >= 5_000, terms.join(', '))
    assert.equal(holder(), 'one')
    // Where the machine is slow the third has made its own by now.
    assert.match(await (await fetch(`http://${address}/metrics`)).text(), /\npicket_operator_mistakes_total [23]\n/)
    await world.pass(200)
    isWrong = false
    await world.until('it is told', () => programmed('web'))
  })

  it('ends at any time', async () => {
    for (let ms = 0; ms < 600; ms += 50) {
      await started('one')
      await world.pass(ms)
      await ended('one')
      const { watches } = world.server
      assert.equal(watches, 0)
      assert.equal(holder(), '')
    }
  })

  it('says over HTTP whether it is ready, who leads, and what it did, and waits with a reason', async () => {
    const address = `127.0.0.1:${await freePort()}`
    const ask = async (path: string): Promise<{ readonly status: number; readonly text: string }> => {
      const answer = await fetch(`http://${address}${path}`)
      return { status: answer.status, text: await answer.text() }
    }
    away.add('one')
    await started('one', { address })
    await world.pass(1_000)
    assert.equal((await ask('/readyz')).status, 503)
    assert.equal((await ask('/livez')).status, 200)
    away.clear()
    await world.until('it is told', () => programmed('web'))
    assert.deepEqual(await ask('/readyz'), { status: 200, text: '{"ready":true,"leads":true}\n' })
    const status = JSON.parse((await ask('/status')).text) as { readonly leads: boolean; readonly terms: number; readonly quietMs: number }
    assert.deepEqual([status.leads, status.terms, status.quietMs], [true, 1, 0])
    const { text } = await ask('/metrics')
    const usual = world.server.behaviour.instead
    world.server.behaviour.instead = (asked) => (asked.path.endsWith('/nodes') ? { status: 403, body: '{}' } : usual(asked))
    world.server.endWatches()
    await world.pass(10_000)
    const refused = await ask('/readyz')
    assert.deepEqual([refused.status, refused.text.includes('the role lacks the verb')], [503, true], refused.text)
    world.server.behaviour.instead = usual
    for (const line of ['picket_operator_leader 1', 'picket_operator_terms_total 1', 'picket_operator_writes_total{object="PolicyEnforcement",action="create"} 1', 'picket_operator_objects{kind="policies"} 1']) assert.ok(text.includes(`\n${line}\n`), line)
  })
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}
