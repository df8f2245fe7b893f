// Ever other policies around one flow that they all allow and another one that they all deny.
//
// shop/web may always send UDP 9000 to shop/db, shop/near never. **Invariant:** pure, but for the random numbers given.
import { ingress, policyObject, type PlainObject } from './real-objects.ts'
import type { RawPeer, RawPort, RawRule } from './manifests.ts'

/** [0, 1). */
export type Random = () => number

/** Numerical Recipes' generator: the same seed, the same edits. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

function oneOf<T>(random: Random, ...values: readonly T[]): T {
  return values[Math.floor(random() * values.length)] as T
}

function some<T>(random: Random, ...values: readonly T[]): readonly T[] {
  return values.filter(() => random() < 0.5)
}

/** shop/web is 10.88.0.2 and fd00:88::2, shop/near 10.88.0.3 and fd00:88::3. */
function blocks(random: Random): readonly RawPeer[] {
  const four = oneOf(random, '10.88.0.2/32', '10.88.0.2/31', '10.88.0.0/24', '10.88.0.0/16', '10.0.0.0/8', '0.0.0.0/0')
  const six = oneOf(random, 'fd00:88::2/128', 'fd00:88::2/127', 'fd00:88::/64', 'fd00::/8', '::/0')
  const holes = four.endsWith('/32') ? [] : four.endsWith('/31') ? ['10.88.0.3/32'] : ['10.88.0.3/32', ...some(random, '10.88.0.64/27', '10.88.0.128/25', '10.88.0.4/30')]
  const sixHoles = six.endsWith('/128') ? [] : six.endsWith('/127') ? ['fd00:88::3/128'] : ['fd00:88::3/128', ...some(random, 'fd00:88::100/120', 'fd00:88::4/126')]
  return [{ ipBlock: { cidr: four, except: holes } }, { ipBlock: { cidr: six, except: sixHoles } }]
}

function ports(random: Random): readonly RawPort[] {
  const right: RawPort = oneOf<RawPort>(random, { protocol: 'UDP', port: 9000 }, { protocol: 'UDP', port: 8990, endPort: 9010 }, { protocol: 'UDP' })
  return [right, ...some<RawPort>(random, { port: 80 }, { protocol: 'TCP', port: 9000 }, { protocol: 'UDP', port: 53 })]
}

function others(random: Random): readonly RawPeer[] {
  const count = Math.floor(random() * 12)
  return Array.from({ length: count }, (_, i): RawPeer => oneOf<RawPeer>(random, { ipBlock: { cidr: `10.200.${i}.0/24` } }, { podSelector: { matchLabels: { app: `other-${i}` } } }))
}

function rules(random: Random, moves: boolean): readonly RawRule[] {
  const byLabel: RawPeer = { podSelector: { matchLabels: { app: 'web' } } }
  const from = [...(moves && random() < 0.2 ? [byLabel] : blocks(random)), ...others(random)]
  const right: RawRule = random() < 0.3 ? { from } : { from, ports: ports(random) }
  const other: RawRule = { from: [{ ipBlock: { cidr: '10.201.0.0/16' } }], ports: [{ port: 443 }] }
  if (random() < 0.5) return [right]
  return moves ? [other, right] : [right, other]
}

/**
 * Everything that is there after one more edit. `moves`: what allows shop/web may also move from ipBlocks to labels and
 * from rule to rule; that is not gapless yet: the kernel (6.18) applies elements of interval sets at the end of a commit,
 * and rules at its beginning.
 */
export function edited(random: Random, moves = false): readonly PlainObject[] {
  const selector = oneOf(random, { matchLabels: { app: 'db' } }, { matchExpressions: [{ key: 'app', operator: 'In' as const, values: ['db', 'none'] }] })
  const main = policyObject('shop/in', { podSelector: selector, policyTypes: ['Ingress'], ingress: rules(random, moves) })
  const more = ingress('shop/more', { app: 'db' }, { from: others(random).concat({ ipBlock: { cidr: '10.202.0.0/16' } }), ports: [{ port: 22 }] })
  return random() < 0.5 ? [main] : [main, more]
}
