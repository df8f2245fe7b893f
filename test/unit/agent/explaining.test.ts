// What an agent says of its own halves: by the plan that it holds, with the kernel's state; over its socket, as the command asks it.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { explainOnNode, MOST_HALVES, type ExplainingOptions, type NodeAnswer, type NodeHalves } from '../../../src/agent/explaining.ts'
import { askHalves, askNode } from '../../../src/cli/explain-node.ts'
import type { Answer, Half } from '../../../src/explain/answer.ts'
import { halvesByNode, keyOfHalf, withOwnWord, withWords } from '../../../src/explain/halves.ts'
import { decodeObject } from '../../../src/decode/decode.ts'
import type { SourceEvent } from '../../../src/model/changes.ts'
import { openSocket } from '../../../src/serve/socket.ts'
import { compiled } from '../../support/check-cluster.ts'
import type { Total } from '../../../src/agent/counting.ts'
import { asked, worldOf } from '../../support/explain-world.ts'
import { clusterSketch } from '../../support/generate.ts'
import { objectsOf, type RawCluster, type RawObject } from '../../support/manifests.ts'
import { addressesOf } from '../../support/oracle.ts'
import { Pipeline } from '../../support/pipeline.ts'
import { serviceObject, sliceObjects } from '../../support/service-objects.ts'
import { runs } from '../../support/runs.ts'
import { materialise } from '../../support/states.ts'

function optionsFor(cluster: RawCluster, nodeName: string, changes: Partial<ExplainingOptions> = {}): ExplainingOptions {
  const { turns } = compiled(cluster, nodeName)
  return { config: { nodeName, nodeEgress: 'allow', serviceCIDRs: [] }, turns, held: () => ({ revision: turns.revision, at: 0 }), searching: () => false, drained: () => true, counted: () => Promise.resolve(new Map()), problems: () => [...turns.problems.values()], ...changes }
}

function policyOf(name: string, spec: object): RawObject {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'shop', name, uid: name }, spec } as RawObject
}

async function ask(options: ExplainingOptions, question: object): Promise<NodeAnswer> {
  const { status, body } = await explainOnNode(options)(question)
  assert.equal(status, 200, JSON.stringify(body))
  return body as NodeAnswer
}

function podOf(name: string, node: string, number: number): RawObject {
  return {
    apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'shop', name, uid: `pod-${number}-0`, labels: { app: name } }, spec: { nodeName: node, containers: [{ name: 'main' }] },
    status: { phase: 'Running', podIPs: [{ ip: `10.1.1.${number}` }, { ip: `fd00:1:1::${number}` }] },
  }
}

const OBJECTS: readonly RawObject[] = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', uid: 'ns' } },
  podOf('web', 'n1', 1),
  podOf('api', 'n2', 2),
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'shop', name: 'closed', uid: 'closed' }, spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] } },
]
const SHOP: RawCluster = new Map(OBJECTS.map((one) => [one.metadata.uid, one]))
const HALF = { direction: 'egress', source: '10.1.1.1', destination: '10.1.1.2', protocol: 'TCP', port: 80 } as const
const QUESTION = { from: 'shop/web', to: 'shop/api', port: 80, protocol: 'TCP' }

describe('an agent that is asked to explain', () => {
  it('judges what is of its node, and says who judges the rest', async () => {
    const kinds = async (node: string): Promise<readonly unknown[]> => {
      const { flows } = await ask(optionsFor(SHOP, node), QUESTION)
      return flows.flatMap(({ legs }) => legs.map(({ egress, ingress }) => [egress.kind, ingress.kind]))
    }
    assert.deepEqual(await kinds('n1'), [['denied', 'elsewhere'], ['denied', 'elsewhere']])
    assert.deepEqual(await kinds('n2'), [['elsewhere', 'denied'], ['elsewhere', 'denied']])
  })

  it('says whether the kernel holds what it answers by', async () => {
    const { node } = await ask(optionsFor(SHOP, 'n1'), QUESTION)
    assert.deepEqual(node, { node: 'n1', programmed: true, revision: node.wantedRevision, wantedRevision: node.wantedRevision, programmedAt: '1970-01-01T00:00:00.000Z' })
    assert.equal((await ask(optionsFor(SHOP, 'n1', { drained: () => false }), QUESTION)).node.programmed, false)
    const late = await ask(optionsFor(SHOP, 'n1', { held: () => ({ revision: 0, at: 0 }) }), QUESTION)
    const told = ({ node: own, ...said }: NodeAnswer): readonly (string | undefined)[] => withOwnWord(said, own).flows.flatMap(({ legs }) => legs.flatMap(({ egress, ingress }) => [egress.programmed?.text, ingress.programmed?.text]))
    const [egress, ingress] = told(late)
    assert.match(egress ?? '', /^node n1 has NOT PROGRAMMED this yet: its kernel holds revision 0 of 1970-01-01T00:00:00\.000Z, this is of revision \d+$/)
    // That half is another node's.
    assert.equal(ingress, undefined)
    assert.match(told(await ask(optionsFor(SHOP, 'n1', { held: () => null }), QUESTION))[0] ?? '', /holds nothing/)
    assert.match(told(await ask(optionsFor(SHOP, 'n1'), QUESTION))[0] ?? '', /^programmed on node n1 \(revision \d+ of 1970-01-01T00:00:00\.000Z\)$/)
  })

  it('says what was counted: of the rule that allows, and of what the pod was denied in that direction', async () => {
    const rules = policyOf('opens', { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Egress'], egress: [{ ports: [{ port: 443 }] }, { ports: [{ port: 80 }] }] })
    const cluster: RawCluster = new Map([...OBJECTS, rules].map((one) => [one.metadata.uid, one]))
    const total = (counted: Total['counted'], packets: number, live = true): [string, Total] => [JSON.stringify([counted, live]), { counted, live, packets, bytes: 10 * packets }]
    const rule = (name: string, index: number, uid = name): Total['counted'] => ({ kind: 'allowed', namespace: 'shop', policy: { name, uid }, direction: 'egress', rule: index })
    const pod = (uid: string, direction: 'ingress' | 'egress'): Total['counted'] => ({ kind: 'dropped', namespace: 'shop', pod: 'web', uid, direction })
    const totals = new Map([total(rule('opens', 1, 'old'), 99, false), total(rule('opens', 0), 1), total(rule('opens', 1), 2), total(rule('closed', 1), 3), total(pod('pod-1-0', 'ingress'), 4), total(pod('pod-1-0', 'egress'), 5), total(pod('pod-2-0', 'egress'), 6)])
    const options = optionsFor(cluster, 'n1', { counted: () => Promise.resolve(totals) })
    const counted = async (port: number): Promise<unknown> => (await ask(options, { ...QUESTION, port })).flows.map(({ legs }) => legs.map(({ egress, ingress }) => [egress.kind, egress.counted, ingress.counted]))
    assert.deepEqual(await counted(80), Array.from({ length: 2 }, () => [['allowed', { packets: 2, bytes: 20 }, undefined]]))
    assert.deepEqual(await counted(81), Array.from({ length: 2 }, () => [['denied', { packets: 5, bytes: 50 }, undefined]]))
    const { body } = await explainOnNode(options)({ halves: [{ ...HALF, port: 443 }] })
    assert.deepEqual((body as { readonly halves: readonly Half[] }).halves.map(({ counted: count }) => count), [{ packets: 1, bytes: 10 }])
  })

  it('says of a pod in quarantine that nothing passes', async () => {
    const options = optionsFor(SHOP, 'n1')
    options.turns.requarantine(new Set(['Pod shop/web']))
    const { status, body } = await explainOnNode(options)({ ...QUESTION, from: '10.1.1.1' })
    assert.equal(status, 200)
    const kinds = (body as NodeAnswer).flows.flatMap(({ legs }) => legs.map(({ egress }) => egress))
    assert.ok(kinds.every((half) => half.kind === 'denied' && /quarantine/.test(half.text)), JSON.stringify(kinds))
  })

  it('leaves the Services of callers of other nodes to those nodes', async () => {
    const pipeline = new Pipeline({ nodeName: 'n1', services: {} })
    const objects = [...OBJECTS, serviceObject('shop/api', 1), ...sliceObjects('shop/api', [{ key: 'shop/api', addresses: ['10.1.1.2', 'fd00:1:1::2'], node: 'n2' } as never])]
    pipeline.push(objects.flatMap((one) => {
      const { kind, metadata } = one as RawObject
      const decoded = decodeObject(kind, one, metadata.uid)
      return decoded === null ? [] : [{ verb: 'upsert', key: metadata.uid, ...decoded } as SourceEvent]
    }))
    pipeline.turn()
    const options: ExplainingOptions = { ...optionsFor(SHOP, 'n1'), turns: pipeline.turns }
    const ours = await ask(options, { ...QUESTION, to: '10.96.0.1' })
    assert.deepEqual(ours.flows.map(({ service, legs }) => [service?.name, legs.map(({ destination }) => destination.name)]), [['api', ['shop/api']]])
    const theirs = await explainOnNode(options)({ ...QUESTION, from: 'shop/api', to: 'shop/svc/api' })
    assert.equal(theirs.status, 400)
    assert.match((theirs.body as { readonly error: string }).error, /10\.96\.0\.1:80\/TCP is of a Service, which node n2 translates: ask the agent there/)
  })

  it('refuses what is no question, and waits for a plan', async () => {
    const options = optionsFor(SHOP, 'n1')
    for (const [body, message] of [[null, /found nothing, expected an object/], [{ to: 'a' }, /expected texts/], [{ ...QUESTION, port: 0 }, /port 0: expected a number from 1/], [{ ...QUESTION, protocol: 'tcp' }, /protocol "tcp": expected TCP, UDP, SCTP/], [{ ...QUESTION, from: 'shop/none' }, /there is no Pod shop\/none/],
      [{ halves: {} }, /halves an empty mapping: expected a list of at most 100/], [{ halves: Array.from({ length: 101 }, () => HALF) }, /halves a list of 101/], [{ halves: [null] }, /a half is nothing: expected direction/],
      [{ halves: [{ ...HALF, port: 0 }] }, /a half is a mapping/], [{ halves: [{ ...HALF, source: 'shop/web' }] }, /a half is a mapping/], [{ halves: [{ ...HALF, direction: 'both' }] }, /a half is a mapping/], [{ halves: [{ ...HALF, protocol: 'tcp' }] }, /a half is a mapping/]] as const) {
      const reply = await explainOnNode(options)(body)
      assert.equal(reply.status, 400)
      assert.match((reply.body as { readonly error: string }).error, message)
    }
    assert.equal((await explainOnNode({ ...options, searching: () => true })(QUESTION)).status, 503)
  })

  it('answers over its socket', async () => {
    const dir = mkdtempSync(path.join(os.tmpdir(), 'picket-explain-'))
    const socket = await openSocket(path.join(dir, 'agent.sock'), { status: () => null, notReady: () => null, covers: () => false, asked: { 'POST /explain': explainOnNode(optionsFor(SHOP, 'n1')) } })
    try {
      const question = { from: 'shop/web', to: 'shop/api', ports: { port: 80, protocol: 'TCP' }, via: null } as const
      const said = await askNode(path.join(dir, 'agent.sock'), question, 5000)
      assert.deepEqual([said.verdict, said.node.programmed], ['denied', true])
      const { node, halves } = await askHalves(path.join(dir, 'agent.sock'), JSON.stringify([HALF, { ...HALF, direction: 'ingress' }]), 5000)
      assert.deepEqual([node.programmed, halves.map(({ kind }) => kind)], [true, ['denied', 'elsewhere']])
      const many = Array.from({ length: MOST_HALVES }, () => ({ ...HALF, source: 'fd00:aaaa:bbbb:cccc:dddd:eeee:ffff:1111', destination: 'fd00:aaaa:bbbb:cccc:dddd:eeee:ffff:2222' }))
      assert.equal((await askHalves(path.join(dir, 'agent.sock'), JSON.stringify(many), 5000)).halves.length, MOST_HALVES)
      await assert.rejects(async () => askHalves(path.join(dir, 'agent.sock'), '[', 5000), { code: 'Usage', exit: 2, message: /--halves "\[": expected JSON/ })
      await assert.rejects(askNode(path.join(dir, 'agent.sock'), { ...question, to: 'shop/none' }, 5000), { code: 'NoSuchPod', exit: 2 })
      await assert.rejects(askNode(path.join(dir, 'none.sock'), question, 5000), { code: 'NoAgent', exit: 2, message: /no agent answers .*are you root/ })
    } finally {
      await socket.close()
      rmSync(dir, { recursive: true })
    }
  })

  it('says the same of its halves as is said from outside, in random clusters', async function () {
    this.timeout(60_000)
    let compared = 0
    /** What is compiled from outside is what the agent says of the halves alone. */
    const programmed = async (answer: Answer, options: ExplainingOptions): Promise<void> => {
      const own = halvesByNode(answer).get('n1') ?? []
      const { node, halves } = (await explainOnNode(options)({ halves: own })).body as NodeHalves
      const told = withWords(answer, new Map([['n1', { ...node, halves: new Map(own.map((half, index) => [keyOfHalf(half), halves[index] as Half])) }]]))
      const states = told.flows.flatMap(({ legs }) => legs.flatMap(({ egress, ingress }) => [egress, ingress])).filter((half) => half.programmed?.node === 'n1')
      for (const half of states) assert.equal(half.programmed?.state, 'programmed', JSON.stringify(half))
    }
    const same = (here: Half | undefined, outside: Half | undefined, title: string): void => {
      if (here === undefined || here.kind === 'elsewhere') return
      assert.deepEqual(here, outside, title)
      compared++
    }
    await fc.assert(
      fc.asyncProperty(clusterSketch, async (sketch) => {
        const cluster = materialise(sketch)
        const world = worldOf(cluster.values())
        const options = optionsFor(cluster, 'n1')
        const addresses = [...new Set(objectsOf(cluster, 'Pod').flatMap((pod) => addressesOf(pod)))]
        for (const from of addresses) {
          for (const to of addresses.filter((one) => one.includes(':') === from.includes(':'))) {
            const [here] = (await ask(options, { from, to, port: 80, protocol: 'TCP' })).flows
            const answer = asked(world, from, to, '80/TCP')
            const [outside] = answer.flows
            same(here?.legs[0]?.egress, outside?.legs[0]?.egress, `${from} -> ${to} egress`)
            same(here?.legs[0]?.ingress, outside?.legs[0]?.ingress, `${from} -> ${to} ingress`)
            await programmed(answer, options)
          }
        }
      }),
      runs(40),
    )
    if (runs(40).numRuns >= 40) assert.ok(compared > 200, `only ${compared} halves`)
  })
})
