// What a log rule's prefix says is read back as it was written, and nothing else is read at all.
import { deepEqual, equal, notEqual, ok, throws } from 'node:assert/strict'
import { labelHash, LOG_EVENTS, MAX_PREFIX, MAX_SAMPLE, formatLogPrefix, parseLogPrefix, profileGeneration, type LogPrefix } from '../../../src/ruleset/log-prefix.ts'
import type { Profile } from '../../../src/policy/plan.ts'

const PROFILE: Profile = {
  id: 'ingress/shop/7F3K2Q8A0B1C',
  direction: 'ingress',
  namespace: 'shop',
  policies: [{ uid: 'u1', name: 'web' }],
  rules: [{ policy: 'u1', index: 0, ports: [{ protocol: 'TCP', first: 80, last: 80 }], peers: [{ kind: 'addresses', set: 's' }] }],
  dispatch: [{ kind: 'exact', ports: [{ protocol: 'TCP', first: 80, last: 80 }], peers: [{ kind: 'addresses', set: 's' }] }],
}

function denied(more: Partial<LogPrefix> = {}): LogPrefix {
  return { event: 'denied', profile: PROFILE.id, generation: profileGeneration(PROFILE), place: null, sample: 1, label: '', ...more }
}

const ALLOWED = denied({ event: 'allowed', place: '3.0', sample: 100, label: labelHash('payments') })

describe("a log rule's prefix", () => {
  it('is read back as it was written, of every event', () => {
    for (const event of LOG_EVENTS) {
      const prefix = event === 'denied' ? denied() : event === 'allowed' ? ALLOWED : { ...denied(), event, profile: null, generation: '' }
      const text = formatLogPrefix(prefix)
      ok(text.startsWith(`picket/${event}`), text)
      deepEqual(parseLogPrefix(text), prefix)
    }
    equal(formatLogPrefix(denied()), `picket/denied/i/shop/7F3K2Q8A0B1C/${profileGeneration(PROFILE)}/-/1/-`)
    deepEqual(parseLogPrefix(formatLogPrefix(denied({ profile: 'egress/e/7F3K2Q8A0B1C' })))?.profile, 'egress/e/7F3K2Q8A0B1C')
  })

  it('fits into 127 bytes at its longest, and no longer one is made', () => {
    const longest = { ...ALLOWED, profile: `egress/${'n'.repeat(63)}/7F3K2Q8A0B1C`, place: '99999.16', sample: MAX_SAMPLE }
    equal(formatLogPrefix(longest).length, MAX_PREFIX)
    deepEqual(parseLogPrefix(formatLogPrefix(longest)), longest)
    throws(() => formatLogPrefix({ ...longest, place: '100000.16' }), /no log prefix can say/)
  })

  it('is not made of what could not be read back', () => {
    const bad: Partial<LogPrefix>[] = [
      { profile: 'ingress/a"b/7F3K2Q8A0B1C' },
      { profile: 'ingress/a b/7F3K2Q8A0B1C' },
      { profile: 'ingress/../7F3K2Q8A0B1C' },
      { profile: 'canary/egress' },
      { generation: '' },
      { place: '1.0' },
      { sample: 0 },
      { sample: 1.5 },
      { sample: MAX_SAMPLE + 1 },
      { label: '$x' },
      { profile: null },
      { event: 'spoofed' },
    ]
    for (const more of bad) throws(() => formatLogPrefix(denied(more)), /no log prefix can say/, JSON.stringify(more))
    throws(() => formatLogPrefix({ ...ALLOWED, place: null }), /no log prefix can say/)
  })

  it('is null for whatever others log', () => {
    const whole = formatLogPrefix(ALLOWED)
    const hostile = [
      '',
      'picket/',
      'picket/denied',
      'picket/allowed',
      'picket/spoofed/',
      'picket/spoofed\n',
      'picket/toString',
      ' ' + whole,
      whole + ' ',
      whole + '\n',
      whole + '\0',
      `${whole}\x1b[31m`,
      whole.replace('/i/', '/x/'),
      whole.replace('shop', '-shop'),
      whole.replace('shop', 'sh\u0000p'),
      whole.replace('shop', 'SHOP'),
      whole.replace('/3.0/', '/03.0/'),
      whole.replace('/3.0/', '/-/'),
      whole.replace('/100/', '/0/'),
      whole.replace('/100/', '/99999/'),
      whole.replace('/100/', '/1e2/'),
      whole.replace('7F3K2Q8A0B1C', '7F3K2Q8A0B1CD'),
      whole.replace('7F3K2Q8A0B1C', '7F3K2Q8A0B1U'),
      'picket/' + 'a'.repeat(100_000),
    ]
    for (const text of hostile) equal(parseLogPrefix(text), null, JSON.stringify(text.slice(0, 150)))
    for (let end = 0; end < whole.length; end++) equal(parseLogPrefix(whole.slice(0, end)), null, whole.slice(0, end))
  })
})

describe("a profile's generation", () => {
  it('is another for any other content, and the same for the same', () => {
    const port = { protocol: 'TCP', first: 80, last: 80 } as const
    const others: Profile[] = [
      { ...PROFILE, id: 'ingress/shop/7F3K2Q8A0B1D' },
      { ...PROFILE, policies: [{ uid: 'u2', name: 'web' }] },
      { ...PROFILE, rules: [] },
      { ...PROFILE, rules: PROFILE.rules.map((r) => ({ ...r, index: 1 })) },
      { ...PROFILE, rules: PROFILE.rules.map((r) => ({ ...r, peers: 'all' as const })) },
      { ...PROFILE, dispatch: PROFILE.dispatch.map((c) => ({ ...c, ports: [{ ...port, last: 81 }] })) },
      { ...PROFILE, dispatch: PROFILE.dispatch.map((c) => ({ ...c, peers: [{ kind: 'addresses' as const, set: 't' }] })) },
    ]
    const mine = profileGeneration(PROFILE)
    equal(profileGeneration(structuredClone(PROFILE)), mine)
    for (const other of others) notEqual(profileGeneration(other), mine, JSON.stringify(other))
    equal(new Set([mine, ...others.map(profileGeneration)]).size, others.length + 1)
  })
})

describe("a label's hash", () => {
  it('stands for any text, and for none where there is none', () => {
    equal(labelHash(''), '')
    for (const text of ['a', '"; drop', '\x1b[31m', 'x'.repeat(10_000)]) {
      deepEqual(parseLogPrefix(formatLogPrefix({ ...ALLOWED, label: labelHash(text) }))?.label, labelHash(text))
      notEqual(labelHash(text), labelHash(`${text}.`))
    }
  })
})
