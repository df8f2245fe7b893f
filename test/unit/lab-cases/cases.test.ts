// Reading case files: the real ones are accepted whole, and every kind of mistake is named with its place.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parseCases } from '../../../src/lab/cases.ts'
import { PicketError } from '../../../src/lib/errors.ts'

const CASES = new URL('../../cases/networkpolicy.json', import.meta.url)

interface Draft {
  [key: string]: unknown
}

/** A good case, with `change` done to it, as a file's text. */
function fileWith(change: (one: Draft, step: Draft) => void): string {
  const step: Draft = {
    actions: [{ createPolicy: { metadata: { name: 'base', namespace: 'shop' }, spec: { podSelector: {} } } }],
    pods: ['shop/web', 'shop/db'],
    expect: { 'v4 8080/TCP': ['10', '01'] },
  }
  const one: Draft = { id: 'one', namespaces: { shop: { team: 'a' } }, pods: { 'shop/web': { ips: ['10.0.0.1'] }, 'shop/db': {} }, steps: [step] }
  change(one, step)
  return JSON.stringify({ cases: [one] })
}

function errorOf(text: string, only: readonly string[] = []): PicketError {
  try {
    parseCases(text, 'cases.json', only)
  } catch (error) {
    assert.ok(error instanceof PicketError, String(error))
    return error
  }
  throw new assert.AssertionError({ message: 'the file was accepted' })
}

describe('case files', () => {
  it('reads every case of test/cases/networkpolicy.json', () => {
    const cases = parseCases(readFileSync(CASES, 'utf8'), 'networkpolicy.json')
    assert.equal(cases.length, 112)
    assert.equal(cases.reduce((sum, one) => sum + one.steps.length, 0), 122)
    assert.ok(cases.every((one) => one.steps.every((step) => step.expect?.size === 12)))
  })

  it('keeps the chosen cases only, in the order of the file', () => {
    const cases = parseCases(readFileSync(CASES, 'utf8'), 'networkpolicy.json', ['g3', 'g1'])
    assert.deepEqual(cases.map((one) => one.id), ['g1', 'g3'])
  })

  it('takes a case without expectations, and without pods then: all of them are rows', () => {
    const [one] = parseCases(fileWith((_, step) => { delete step['expect']; delete step['pods'] }), 'cases.json')
    assert.equal(one?.steps[0]?.expect, null)
    assert.deepEqual(one?.steps[0]?.pods, ['shop/web', 'shop/db'])
  })

  it('passes a policy on that nobody can read: it is the agents that report it', () => {
    const [one] = parseCases(fileWith((_, step) => { step['actions'] = [{ createPolicy: { metadata: { name: 'odd', namespace: 'shop' }, spec: 'none' } }] }), 'cases.json')
    const [action] = one?.steps[0]?.actions ?? []
    assert.ok(action?.kind === 'createPolicy')
    assert.equal(action.manifest['spec'], 'none')
  })

  const mistakes: readonly (readonly [string, string, RegExp])[] = [
    ['no JSON', '{"cases": [', /^cases\.json: expected JSON/],
    ['no object', '[]', /^cases\.json: expected an object, found a list/],
    ['no cases', '{}', /^cases\.json: cases: expected a list, found nothing/],
    ['an empty list', '{"cases": []}', /^cases\.json: cases: expected at least one case/],
    ['no id', fileWith((one) => delete one['id']), /^cases\.json: cases\[0\]\.id: expected a text/],
    ['labels that are no texts', fileWith((one) => (one['namespaces'] = { shop: { team: 1 } })), /case one: namespaces\.shop\.team: expected a text, found 1/],
    ['a key without a namespace', fileWith((one) => (one['pods'] = { web: {} })), /case one: pods\.web: expected the key namespace\/name/],
    ['a pod of an unknown namespace', fileWith((one) => (one['pods'] = { 'other/web': {} })), /case one: pods: expected a namespace that exists.*other/],
    ['an address', fileWith((one) => (one['pods'] = { 'shop/web': { ips: ['10.0.0.256'] } })), /pods\.shop\/web\.ips\[0\]: expected an IPv4 or IPv6 address, found "10\.0\.0\.256"/],
    ['two addresses of a family', fileWith((one) => (one['pods'] = { 'shop/web': { ips: ['10.0.0.1', '10.0.0.2'] } })), /ips: expected one address a family/],
    ['one address of two pods', fileWith((one) => (one['pods'] = { 'shop/web': { ips: ['10.0.0.1'] }, 'shop/db': { ips: ['10.0.0.1'] } })), /pods: expected an address of its own for shop\/db, but shop\/web has 10\.0\.0\.1/],
    ['a port', fileWith((one) => (one['pods'] = { 'shop/web': { ports: [{ port: 65536 }] }, 'shop/db': {} })), /ports\[0\]\.port: expected a whole number from 1 to 65535, found 65536/],
    ['a protocol', fileWith((one) => (one['pods'] = { 'shop/web': { ports: [{ port: 1, protocol: 'tcp' }] }, 'shop/db': {} })), /ports\[0\]\.protocol: expected TCP, UDP or SCTP, found "tcp"/],
    ['no steps', fileWith((one) => (one['steps'] = [])), /case one: steps: expected at least one step/],
    ['an unknown action', fileWith((_, step) => (step['actions'] = [{ dropPolicy: {} }])), /case one: step 0: actions\[0\]: expected one action of .*found "dropPolicy"/],
    ['two actions in one', fileWith((_, step) => (step['actions'] = [{ deletePod: {}, createPod: {} }])), /actions\[0\]: expected one action of/],
    ['an action without its fields', fileWith((_, step) => (step['actions'] = [{ deletePod: { namespace: 'shop' } }])), /actions\[0\]\.deletePod\.pod: expected a text/],
    ['an unknown pod', fileWith((_, step) => (step['actions'] = [{ deletePod: { namespace: 'shop', pod: 'api' } }])), /step 0: actions\[0\]\.deletePod: expected a pod that exists at this step, but there is no shop\/api/],
    ['an unknown policy', fileWith((_, step) => (step['actions'] = [{ deletePolicy: { namespace: 'shop', name: 'base' } }])), /deletePolicy: expected a policy that exists at this step/],
    ['a policy that is there already', fileWith((_, step) => (step['actions'] = [...(step['actions'] as unknown[]), ...(step['actions'] as unknown[])])), /actions\[1\]\.createPolicy: expected a new policy, but shop\/base exists/],
    ['a policy without a name', fileWith((_, step) => (step['actions'] = [{ createPolicy: { metadata: {} } }])), /createPolicy\.metadata\.name: expected a text/],
    ['an unknown pod as a row', fileWith((_, step) => (step['pods'] = ['shop/web', 'shop/api'])), /step 0: pods\[1\]: expected a pod that exists at this step/],
    ['a pod that an action removed', fileWith((_, step) => (step['actions'] = [{ deletePod: { namespace: 'shop', pod: 'db' } }])), /step 0: pods\[1\]: expected a pod that exists at this step/],
    ['an unknown probe', fileWith((_, step) => (step['expect'] = { 'v5 80/TCP': [] })), /step 0: expect\.v5 80\/TCP: expected a probe such as/],
    ['too few rows', fileWith((_, step) => (step['expect'] = { 'v4 80/TCP': ['11'] })), /expect\.v4 80\/TCP: expected 2 rows, one for each of the step's pods, found 1/],
    ['a row of other characters', fileWith((_, step) => (step['expect'] = { 'v4 80/TCP': ['11', '1x'] })), /expect\.v4 80\/TCP\[1\]: expected 2 characters 0 or 1, found "1x"/],
  ]
  for (const [title, text, pattern] of mistakes) {
    it(`names the place of a mistake: ${title}`, () => {
      const error = errorOf(text)
      assert.match(error.message, pattern)
      assert.equal(error.exit, 2)
    })
  }

  it('names a case that is asked for and is not there', () => {
    assert.match(errorOf(fileWith(() => {}), ['two']).message, /has no case "two"; it has one/)
  })

  it('names a case that is there twice', () => {
    const { cases } = JSON.parse(fileWith(() => {})) as { cases: unknown[] }
    assert.match(errorOf(JSON.stringify({ cases: [...cases, ...cases] })).message, /case one: expected one case of each id, found two/)
  })
})
