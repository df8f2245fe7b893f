// What is logged, by the packet tracer: every verdict's prefix, no verdict and no mark changed by it, and what a change of an annotation costs.
//
// **Invariant:** tables come from raw objects with annotations, the same way as an agent's.
import assert from 'node:assert/strict'
import { parseLogPrefix, labelHash, type LogPrefix } from '../../../src/ruleset/log-prefix.ts'
import { compiled } from '../../support/check-cluster.ts'
import { sourceEvent } from '../../support/events.ts'
import { LOG, type Pipeline, type PipelineOptions } from '../../support/pipeline.ts'
import { eventsBetween, materialise, type ClusterSketch, type PodSketch, type PolicySketch } from '../../support/states.ts'
import { Tracer, tracerOf, type Trace, type TracePacket } from '../../support/tracer.ts'

type Annotations = Readonly<Record<string, string>>
type Spec = PolicySketch['spec']

const pod = (app: string, node = 1): PodSketch => ({ namespace: 'shop', labels: { app }, node, families: 'both', life: 'running', hostNetwork: false, age: 0, ports: [] })
const WEB = { podSelector: { matchLabels: { app: 'web' } } }
const FROM_API = [{ podSelector: { matchLabels: { app: 'api' } } }]
const audit = (of: Annotations): Annotations => Object.fromEntries(Object.entries(of).map(([name, value]) => [`audit.picket.dev/${name}`, value]))

/** Pod 1 is web here, 2 is api and 3 is batch elsewhere. */
function sketch(policies: readonly (readonly [spec: Spec, annotations?: Annotations])[]): ClusterSketch {
  const listed = policies.map(([spec, annotations]): PolicySketch => ({ namespace: 'shop', spec, ...(annotations === undefined ? {} : { annotations: audit(annotations) }) }))
  return { namespaces: { shop: {} }, pods: [pod('web'), pod('api', 2), pod('batch', 2)], policies: listed, nodes: 2 }
}

function pipelineOf(cluster: ClusterSketch, options: Partial<PipelineOptions> = {}, space: Annotations = {}): Pipeline {
  const pipeline = compiled(materialise(cluster), 'n1', { auditLog: 'deny', ...options })
  if (Object.keys(space).length > 0) annotateNamespace(pipeline, cluster, space)
  return pipeline
}

function annotateNamespace(pipeline: Pipeline, cluster: ClusterSketch, space: Annotations): void {
  const [object] = [...materialise(cluster).values()].filter(({ kind }) => kind === 'Namespace')
  assert.ok(object !== undefined)
  pipeline.push([sourceEvent({ verb: 'upsert', object: { ...object, metadata: { ...object.metadata, annotations: audit(space) } } } as Parameters<typeof sourceEvent>[0])])
  pipeline.turn()
}

function packet(from: 2 | 3, port: number, more: Partial<TracePacket> = {}, family: 4 | 6 = 4): TracePacket {
  const of = (node: number, slot: number): string => (family === 4 ? `10.1.${node}.${slot}` : `fd00:1:${node}::${slot}`)
  return {
    path: 'forward', iif: { name: 'uplink', kind: 'veth' }, oif: { name: 'v-pod-1', kind: 'veth' }, source: of(2, from), destination: of(1, 1),
    protocol: 6, sourcePort: 40_000, destinationPort: port, ctState: 'new', ctDirection: 'original', ctMark: 0x100, ...more,
  }
}

interface Seen extends Pick<Trace, 'verdict' | 'mark' | 'loggedMarks'> {
  readonly logs: readonly LogPrefix[]
}

function trace(pipeline: Pipeline, one: TracePacket): Seen {
  const { verdict, logs, mark, loggedMarks } = tracerOf(pipeline.text()).trace(one)
  return { verdict, mark, loggedMarks, logs: logs.map((text) => parseLogPrefix(text) ?? assert.fail(`nobody can read ${text}`)) }
}

const summary = ({ verdict, logs }: Seen): string => [verdict, ...logs.map(({ event, place, sample, label }) => `${event}${place === null ? '' : ` ${place}`}${sample === 1 ? '' : ` 1/${sample}`}${label === '' ? '' : ` ${label}`}`)].join(', ')
const NEW_RULES: Spec = { ...WEB, ingress: [{ from: FROM_API, ports: [{ port: 80 }] }, { ports: [{ port: 443 }] }, { from: FROM_API, ports: [{ port: 7000, endPort: 7010 }] }] }

describe('what is logged', () => {
  it('stands by itself in front of the verdict, whose counter counts what is suppressed, too', () => {
    const state = pipelineOf(sketch([[NEW_RULES, { log: 'all' }]])).turns.translator.wanted.state
    const rules = [...state.chains.values()].flatMap((chain) => chain.rules.map((rule) => [chain.name, rule] as const))
    const logging = rules.filter(([, rule]) => rule.includes('log prefix'))
    assert.ok(logging.length > 10)
    for (const [chain, rule] of logging) {
      assert.doesNotMatch(rule, /\b(drop|accept|return|jump|goto|reject)\b/, chain)
      const [, counter = ''] = /counter name "([^"]+)" (?:meta mark set ct mark )?log prefix/.exec(rule) ?? assert.fail(`${chain}: ${rule}: what is logged is not counted`)
      assert.ok(state.counters.has(counter), counter)
      assert.equal([...rule.matchAll(/update @log-/g)].length, rule.includes('picket/allowed') ? 4 : 3, rule)
    }
    for (const [, rule] of rules) if (!rule.includes('log prefix')) assert.doesNotMatch(rule, /\blimit\b/)
  })

  it('of a profile: what it denies, and where that is asked for what it allows, by place, in both families', () => {
    for (const family of [4, 6] as const) {
      const all = pipelineOf(sketch([[NEW_RULES, { log: 'all' }]]))
      const say = (from: 2 | 3, port: number): string => summary(trace(all, packet(from, port, {}, family)))
      assert.deepEqual([say(2, 80), say(3, 443), say(2, 7005), say(3, 80), say(2, 81)], ['accept, allowed 0.0', 'accept, allowed 1.0', 'accept, allowed 2.0', 'drop, denied', 'drop, denied'])
    }
  })

  it('names the profile with the generation of its content: another after an edit, the same after a new start', () => {
    const [one, again, other] = [NEW_RULES, NEW_RULES, { ...NEW_RULES, ingress: [] }].map((spec) => trace(pipelineOf(sketch([[spec]])), packet(3, 80)).logs[0] as LogPrefix)
    assert.deepEqual(one, again)
    assert.equal(one?.profile, other?.profile)
    assert.notEqual(one?.generation, other?.generation)
  })

  it('is nothing where it is off: no rule, counter, chain or set for it', () => {
    const off = compiled(materialise(sketch([[NEW_RULES, { log: 'all' }]])), 'n1').text()
    assert.doesNotMatch(off, /\blog\b|log-|logged/)
    const none = pipelineOf(sketch([[NEW_RULES]]), { auditLog: 'none', log: { ...LOG, denies: false } }).text()
    assert.doesNotMatch(none, /log prefix|logged\/|add chain inet picket log/)
    assert.equal(summary(trace(pipelineOf(sketch([[NEW_RULES]])), packet(2, 80))), 'accept')
    const quiet = pipelineOf(sketch([[NEW_RULES, { log: 'none' }]]))
    assert.equal(summary(trace(quiet, packet(3, 80))), 'drop')
    assert.doesNotMatch(quiet.text(), /(logged|allowed)\/ingress/)
  })

  it("holds by the policy's own annotation before the namespace's before the cluster's", () => {
    const say = (cluster: 'none' | 'deny', space: Annotations, own: Annotations): string => summary(trace(pipelineOf(sketch([[NEW_RULES, own]]), { auditLog: cluster }, space), packet(3, 80)))
    assert.equal(say('deny', {}, {}), 'drop, denied')
    assert.equal(say('deny', { log: 'none' }, {}), 'drop')
    assert.equal(say('deny', { log: 'none' }, { log: 'deny' }), 'drop, denied')
    assert.equal(say('none', { log: 'all' }, {}), 'drop, denied')
    assert.equal(say('none', { log: 'all' }, { log: 'allow' }), 'drop')
    assert.equal(say('deny', { sample: '1/10', label: 'space' }, { label: 'own' }), `drop, denied 1/10 ${labelHash('own')}`)
    assert.equal(say('deny', { log: 'none' }, { log: 'alles' }), 'drop')
  })

  it('of several policies: what is denied is everybody\'s, and the one that says most wins; what is allowed is of the rule that allows it', () => {
    const say = (first: Annotations, second: Annotations, from: 2 | 3, port: number): string =>
      summary(trace(pipelineOf(sketch([[{ ...WEB, ingress: [{ ports: [{ port: 80 }] }] }, first], [{ ...WEB, ingress: [{ ports: [{ port: 443 }] }, { from: FROM_API, ports: [{ port: 80 }] }] }, second]])), packet(from, port)))
    assert.equal(say({ log: 'none' }, { log: 'deny', label: 'b' }, 3, 81), `drop, denied ${labelHash('b')}`)
    assert.equal(say({ sample: '1/100', label: 'a' }, { sample: '1/10', label: 'b' }, 3, 81), `drop, denied 1/10 ${labelHash('b')}`)
    assert.equal(say({ log: 'all' }, { log: 'none' }, 3, 80), 'accept, allowed 0.0')
    assert.equal(say({ log: 'all' }, { log: 'none' }, 3, 443), 'accept')
    assert.equal(say({ log: 'none' }, { log: 'none' }, 3, 81), 'drop')
    assert.equal(say({ log: 'none' }, { log: 'allow' }, 2, 80), 'accept, allowed 0.0')
  })

  it('of a rule for wider ports: also where a narrower rule for the same peers comes first', () => {
    const both = sketch([[{ ...WEB, ingress: [{ from: FROM_API }] }, { log: 'allow' }], [{ ...WEB, ingress: [{ from: FROM_API, ports: [{ port: 80 }] }] }]])
    assert.equal(summary(trace(pipelineOf(both), packet(2, 80))), 'accept, allowed 0.0')
    assert.equal(summary(trace(pipelineOf(both), packet(2, 81))), 'accept, allowed 1.0')
    const range = sketch([[{ ...WEB, ingress: [{ from: FROM_API, ports: [{ port: 70, endPort: 90 }] }] }, { log: 'allow' }], [{ ...WEB, ingress: [{ from: FROM_API, ports: [{ port: 80 }] }] }]])
    assert.equal(summary(trace(pipelineOf(range), packet(2, 80))), 'accept, allowed 0.0')
  })

  it('of more peers than a packet is looked up in: by the union that they become', () => {
    const many = Array.from({ length: 12 }, (_, i) => ({ podSelector: { matchLabels: { app: i === 7 ? 'api' : `other-${i}` } } }))
    const text = sketch([[{ ...WEB, ingress: [{ from: many, ports: [{ port: 80 }] }] }, { log: 'allow' }]])
    assert.equal(summary(trace(pipelineOf(text), packet(2, 80))), 'accept, allowed 0.0')
    assert.equal(summary(trace(pipelineOf(text), packet(3, 80))), 'drop')
  })

  it('of a connection that is allowed only its first packet is, answered or not', () => {
    const all = pipelineOf(sketch([[NEW_RULES, { log: 'all' }]]))
    for (const more of [{ confirmed: true }, { ctState: 'established' }, { ctState: 'established', ctDirection: 'reply' }] as const) assert.equal(summary(trace(all, packet(2, 80, more))), 'accept')
  })

  it('changes no verdict and no counter of one, whatever the packet', () => {
    const cluster = sketch([[NEW_RULES, { log: 'all', sample: '1/7', label: 'x' }], [{ ...WEB, policyTypes: ['Egress'] }, { log: 'all' }]])
    const options: Partial<PipelineOptions>[] = [{}, { nodeEgress: 'enforce' }, { dropInvalid: false, newPods: 'allow' }, { establishedConnections: 'keep' }, { podAttachment: 'address', newPods: 'allow' }]
    for (const option of options) {
      const [plain, logging] = [compiled(materialise(cluster), 'n1', option), pipelineOf(cluster, option)].map((one) => new Tracer(one.text())) as [Tracer, Tracer]
      const out = { iif: { name: 'v-pod-1', kind: 'veth' }, oif: { name: 'uplink', kind: 'veth' } }
      for (const family of [4, 6] as const) {
        const [web, batch, nobody] = family === 4 ? ['10.1.1.1', '10.1.2.3', '10.9.9.9'] : ['fd00:1:1::1', 'fd00:1:2::3', 'fd09::9']
        for (const port of [80, 443, 7005, 81]) {
          for (const ctState of ['new', 'established', 'related', 'invalid', 'untracked'] as const) {
            for (const more of [{}, { ...out, source: web, destination: batch }, { ...out, source: nobody, destination: batch }, { oif: { name: 'veth-new', kind: 'veth' } }, { destination: nobody }, { path: 'input', ...out, oif: null, source: web, destination: batch }] as const) {
              for (const from of [2, 3] as const) {
                const one = packet(from, port, { ctState, ...more }, family)
                const [was, is] = [plain.trace(one), logging.trace(one)]
                assert.deepEqual([is.verdict, is.counters.filter((name) => !/^(logged|allowed)/.test(name) && !name.startsWith('logged-'))], [was.verdict, was.counters], JSON.stringify(one))
                if (is.verdict === 'drop') assert.equal(is.logs.filter((text) => !text.startsWith('picket/allowed/')).length, 1, `${is.by}: ${JSON.stringify(one)}`)
              }
            }
          }
        }
      }
    }
  })

  it("leaves the packet's mark as it was where it passes, and says the Service by it where nobody else had set it", () => {
    const all = pipelineOf(sketch([[NEW_RULES, { log: 'all' }]]))
    for (const [mark, said] of [[0, 0x100], [0x77, 0x77]] as const) {
      const { verdict, mark: left, loggedMarks } = trace(all, packet(2, 80, { mark }))
      assert.deepEqual([verdict, left, loggedMarks], ['accept', mark, [said]])
      assert.deepEqual(trace(all, packet(3, 80, { mark })).loggedMarks, [0x100], 'denied')
    }
    assert.deepEqual(trace(pipelineOf(sketch([[NEW_RULES]]), { dropInvalid: false }), packet(3, 80, { mark: 0x77, ctState: 'untracked' })).loggedMarks, [0], 'no entry, no Service')
    const theirs = pipelineOf(sketch([[NEW_RULES, { log: 'all' }]]), { log: { ...LOG, services: false } })
    assert.doesNotMatch(theirs.text(), /meta mark/)
  })

  it('has its shares in sets whose elements are never wanted', () => {
    const state = pipelineOf(sketch([[NEW_RULES]]), { log: { ...LOG, sourceLimit: 7 } }).turns.translator.wanted.state
    const sets = [...state.sets.values()].filter(({ object }) => object.name.startsWith('log-'))
    assert.deepEqual(sets.map(({ object, elements }) => [object.name, object.flags.join(), elements.size]), [['log-sources/7', 'dynamic,timeout', 0], ['log-pods/200', 'dynamic,timeout', 0], ['log-node/1000', 'dynamic,timeout', 0]])
  })
})

describe('a change of an annotation', () => {
  const other: PolicySketch = { namespace: 'shop', spec: { podSelector: { matchLabels: { app: 'other' } }, ingress: [] } }
  const withOther = (annotations?: Annotations): ClusterSketch => {
    const cluster = sketch([annotations === undefined ? [NEW_RULES] : [NEW_RULES, annotations]])
    return { ...cluster, pods: [...cluster.pods, pod('other')], policies: [...cluster.policies, other] }
  }

  it('of a policy touches the chains of its profiles only, in a stage, a switch and a sweep', () => {
    const before = withOther()
    const pipeline = pipelineOf(before)
    const touch = (annotations?: Annotations): readonly string[] => {
      pipeline.transactions.length = 0
      pipeline.push(eventsBetween(materialise(current), materialise((current = withOther(annotations)))).map(sourceEvent))
      pipeline.turn()
      return pipeline.transactions.flatMap(({ step, operations }) => operations.map((one) => `${step} ${one.verb} ${('object' in one ? one.object.name : one.set.name).replaceAll(/[0-9A-Z]{10,12}/g, 'H')}`))
    }
    let current = before
    assert.deepEqual(touch({ label: 'x' }), ['switch rewrite ingress/shop/H'])
    assert.deepEqual(touch({ label: 'x' }), [])
    assert.deepEqual(touch({ log: 'none' }), ['switch rewrite ingress/shop/H', 'sweep delete logged/ingress/shop/H'])
    const allows = touch({ log: 'allow' })
    assert.ok(allows.length <= 15, allows.join('\n'))
    assert.deepEqual(allows.filter((line) => !/\/shop\/H/.test(line)), [])
    assert.deepEqual(allows.filter((line) => line.startsWith('stage add log/')).length, 3)
    const off = touch({ log: 'none' })
    assert.deepEqual(off.filter((line) => line.startsWith('sweep delete log/')).length, 3)
    assert.deepEqual([...pipeline.turns.translator.wanted.state.counters.keys()].filter((name) => /^(logged|allowed|logged-allowed)\/ingress/.test(name)).length, 1, 'the other one has its own')
  })

  it('of a namespace touches the profiles in it, without any policy having changed', () => {
    const cluster = withOther()
    const pipeline = pipelineOf(cluster)
    pipeline.transactions.length = 0
    annotateNamespace(pipeline, cluster, { label: 'space' })
    assert.deepEqual(pipeline.transactions.flatMap(({ operations }) => operations.map((one) => `${one.verb} ${'object' in one ? one.object.name.split('/').slice(0, 2).join('/') : ''}`)), ['rewrite ingress/shop', 'rewrite ingress/shop'])
    assert.deepEqual(trace(pipeline, packet(3, 80)).logs.map(({ label }) => label), [labelHash('space')])
    pipeline.push([{ verb: 'delete', kind: 'namespace', key: [...materialise(cluster).values()].find(({ kind }) => kind === 'Namespace')?.metadata.uid ?? '' }])
    pipeline.turn()
    assert.deepEqual(trace(pipeline, packet(3, 80)).logs.map(({ label }) => label), [''])
  })
})
