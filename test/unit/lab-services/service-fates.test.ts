// What tries come to: endpoints, refusals, silence, sources, shares; and what is not as expected.
import assert from 'node:assert/strict'
import { flowLine, flowTable, scenarioLine, servicesSummary } from '../../../src/cli/lab-service-report.ts'
import { mismatchesOf, observe, triesOf, type Observed } from '../../../src/lab/service-fates.ts'
import { bySocket, parseSocket } from '../../../src/lab/service-fields.ts'
import type { Flow, Scenario } from '../../../src/lab/service-case-types.ts'
import type { ScenarioRun } from '../../../src/lab/run-services.ts'
import type { ProbeResult } from '../../../src/lab/testbed.ts'

const FLOW: Flow = { name: 'pod to Service', source: '10.0.0.2', protocol: 'TCP', destination: '172.27.0.41', port: 80, fate: ['10.0.0.3:80', '10.0.0.10:80'], masquerade: false }
const answered = (at: string, source = '10.0.0.2'): ProbeResult => ({ kind: 'answered', by: '', at, source, ms: 1 })
const silent: ProbeResult = { kind: 'silent' }
const rejected: ProbeResult = { kind: 'rejected', message: 'ECONNREFUSED' }
const times = (count: number, result: ProbeResult): readonly ProbeResult[] => Array.from({ length: count }, () => result)
const fateOf = (results: readonly ProbeResult[]): Observed['fate'] => observe(FLOW, results, false).fate

const ENV = { nodeName: 'a', zone: null, nodeIps: ['192.168.0.2'], nodePortAddresses: null, podCidrs: [], serviceCidrs: [], masqueradeAll: false }
const service = (port: number, nodePort: number | null, affinity = false): Scenario['services'][number] => ({ namespace: 'shop', name: `s${port}`, ports: [{ protocol: 'TCP', port, nodePort }], affinity, object: {} })
const slice = (name: string, addresses: readonly string[]): Scenario['slices'][number] => ({
  namespace: 'shop', service: name, name: `${name}-1`, ports: [{ protocol: 'TCP', port: 8080 }], endpoints: addresses.map((address) => ({ address, node: null })), object: {},
})
const SCENARIO: Scenario = { number: 2, title: 'some', env: ENV, services: [service(80, 3001), service(81, null)], slices: [slice('s80', ['10.0.0.3', '10.0.0.10']), slice('s81', ['10.0.0.1'])], flows: [FLOW] }

describe('what becomes of a flow', () => {
  it('endpoints in order of their addresses, each with its share', () => {
    const { fate, shares, masquerade } = observe(FLOW, [...times(3, answered('10.0.0.10:80')), answered('10.0.0.3:80')], false)
    assert.deepEqual(fate, ['10.0.0.3:80', '10.0.0.10:80'])
    assert.deepEqual(shares, { '10.0.0.3:80': 0.25, '10.0.0.10:80': 0.75 })
    assert.equal(masquerade, false)
  })

  it('a refusal, silence, and a packet that kept its destination', () => {
    assert.equal(fateOf(times(3, rejected)), 'REJECT')
    assert.equal(fateOf(times(3, silent)), 'DROP')
    assert.equal(fateOf(times(3, answered('172.27.0.41:80'))), '')
    assert.deepEqual(observe(FLOW, times(3, silent), false).shares, {})
  })

  it('says so where tries come to different things', () => {
    assert.deepEqual(fateOf([answered('10.0.0.3:80'), silent, rejected]), ['10.0.0.3:80', 'DROP', 'REJECT'])
    assert.deepEqual(fateOf([answered('10.0.0.3:80'), answered('172.27.0.41:80')]), ['10.0.0.3:80', '172.27.0.41:80'])
    assert.equal(mismatchesOf(FLOW, observe(FLOW, [...times(9, answered('10.0.0.3:80')), ...times(9, answered('10.0.0.10:80')), silent], false), false).length, 1)
  })

  it('masquerade: whether the endpoint saw the client; not known of the node itself, and of nobody', () => {
    assert.equal(observe(FLOW, [answered('10.0.0.3:80', '192.168.0.2')], false).masquerade, true)
    assert.equal(observe(FLOW, [answered('10.0.0.3:80', '192.168.0.2')], true).masquerade, null)
    assert.equal(observe(FLOW, [silent, rejected], false).masquerade, null)
  })

  it('masquerade: a pod that is led to itself counts only where nobody else answers', () => {
    const self = { ...FLOW, source: '10.0.0.3' }
    const hairpin = answered('10.0.0.3:80', '192.168.0.2')
    assert.equal(observe(self, [hairpin, answered('10.0.0.10:80', '10.0.0.3')], false).masquerade, false)
    assert.equal(observe(self, [hairpin], false).masquerade, true)
  })

  it('masquerade: some so and some so is never as expected', () => {
    const both = observe(FLOW, [...times(20, answered('10.0.0.3:80')), ...times(20, answered('10.0.0.10:80', '192.168.0.2'))], false)
    assert.deepEqual([true, false].map((masquerade) => mismatchesOf({ ...FLOW, masquerade }, both, false).length), [1, 1])
  })

  it('compares with what is expected, and with nothing else', () => {
    const good = observe(FLOW, [...times(18, answered('10.0.0.3:80')), ...times(22, answered('10.0.0.10:80'))], false)
    assert.deepEqual(mismatchesOf(FLOW, good, false), [])
    assert.deepEqual(mismatchesOf({ ...FLOW, fate: null, masquerade: null }, observe(FLOW, [silent], false), false), [])
    assert.match(mismatchesOf({ ...FLOW, fate: 'REJECT' }, good, false)[0] ?? '', /expected REJECT, observed 10\.0\.0\.3:80 10\.0\.0\.10:80/)
    assert.match(mismatchesOf({ ...FLOW, fate: [] }, observe(FLOW, [silent], false), false)[0] ?? '', /expected no endpoint, observed DROP/)
    assert.match(mismatchesOf({ ...FLOW, masquerade: true }, good, false)[0] ?? '', /observed the opposite/)
    assert.equal(mismatchesOf(FLOW, observe(FLOW, times(40, answered('10.0.0.3:80')), false), false).length, 1)
  })

  it('one endpoint of those expected is enough where a client is led to one only', () => {
    const one = observe(FLOW, times(40, answered('10.0.0.3:80')), false)
    assert.deepEqual(mismatchesOf(FLOW, one, true), [])
    assert.equal(mismatchesOf({ ...FLOW, fate: ['10.0.0.10:80'] }, one, true).length, 1)
  })

  it('answers that are spread unevenly beyond chance', () => {
    const uneven = (count: number): number => mismatchesOf(FLOW, observe(FLOW, [...times(count, answered('10.0.0.3:80')), ...times(40 - count, answered('10.0.0.10:80'))], false), false).length
    assert.deepEqual([20, 10, 3, 1].map(uneven), [0, 0, 1, 1])
  })

  it('tries as often as the endpoints of the Services on its port take, whatever is expected', () => {
    assert.equal(triesOf(FLOW, SCENARIO), 40)
    assert.equal(triesOf({ ...FLOW, port: 3001 }, SCENARIO), 40)
    assert.equal(triesOf({ ...FLOW, port: 81 }, SCENARIO), 20)
    assert.equal(triesOf({ ...FLOW, port: 99, fate: null }, SCENARIO), 20)
  })

  it('reads and sorts endpoints of both families', () => {
    assert.deepEqual(parseSocket('[fd00::1]:80'), { address: 'fd00::1', port: 80 })
    for (const text of ['10.0.0.1', '10.0.0.1:0', '10.0.0.1:65536', 'fd00::1:80', '[10.0.0.1]:80', '']) assert.equal(parseSocket(text), null, text)
    assert.deepEqual(['DROP', '[fd00::1]:80', '10.0.0.10:80', '10.0.0.9:81', '10.0.0.9:80'].sort(bySocket), ['10.0.0.9:80', '10.0.0.9:81', '10.0.0.10:80', '[fd00::1]:80', 'DROP'])
  })
})

describe('what is said of scenarios', () => {
  const observed = observe(FLOW, times(20, answered('10.0.0.3:80')), false)
  const run: ScenarioRun = { of: SCENARIO, flows: [{ flow: FLOW, observed, mismatches: mismatchesOf(FLOW, observed, false) }], unusable: null, problems: [], settleMs: 90, probeMs: 900 }

  it('a line of JSON a flow', () => {
    assert.deepEqual(run.flows.map((one) => flowLine(run, one)), [{ scenario: 2, flow: 'pod to Service', observed: ['10.0.0.3:80'], masq: false, shares: { '10.0.0.3:80': 1 } }])
    const unusable = { ...run, unusable: 'no luck', flows: [{ flow: FLOW, observed: null, mismatches: [] }] }
    assert.deepEqual(unusable.flows.map((one) => flowLine(unusable, one)), [{ scenario: 2, flow: 'pod to Service', unusable: 'no luck' }])
    assert.match(scenarioLine(unusable, 1, 1), /^\[1\/1\] unusable 2   some .*\n    no luck$/)
  })

  it('a line and a table for people', () => {
    assert.equal(scenarioLine(run, 3, 10), '[ 3/10] MISMATCH 2   some (1 flow; settle 90 ms, probe 900 ms)')
    assert.match(flowTable(run) ?? '', /pod to Service +10\.0\.0\.2 +172\.27\.0\.41:80\/tcp +10\.0\.0\.3:80 +kept\n +pod to Service: expected 10\.0\.0\.3:80 10\.0\.0\.10:80, observed 10\.0\.0\.3:80$/)
    assert.equal(flowTable({ ...run, flows: [{ flow: FLOW, observed, mismatches: [] }] }), null)
    assert.equal(servicesSummary([run], { cases: 7, wrong: 1 }, 1_500), '0 of 1 scenario as expected (1 flow), 6 of 7 topology cases as expected; 1.5 s')
  })
})
