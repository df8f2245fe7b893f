// Raw objects for the tests of decode/, and short ways to ask for what came of them.
//
// **Invariant:** raw objects are plain JSON values, as a manifest or the API gives them.
import assert from 'node:assert/strict'
import type { Decoded } from '../../../src/model/changes.ts'
import type { Policy } from '../../../src/model/policy.ts'
import { decodePolicy } from '../../../src/decode/network-policy.ts'

export function policy(spec: unknown): Decoded<Policy> {
  return decodePolicy({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'shop', name: 'web' }, spec }, 'u1', 'a.yaml, document 1')
}

export function good<Row>(decoded: Decoded<Row>): Row {
  assert.equal(decoded.kind, 'good', JSON.stringify(decoded.problems))
  return (decoded as { row: Row }).row
}

export function strict<Row>(decoded: Decoded<Row>): Row {
  assert.equal(decoded.kind, 'bad')
  const { strict: row } = decoded as { strict: Row | null }
  assert.notEqual(row, null)
  return row as Row
}

/** `field` of every problem, in order. */
export function fieldsOf(decoded: Decoded<unknown>): readonly (string | undefined)[] {
  return decoded.problems.map((problem) => problem.field)
}

/** Peers as short text. */
export function peersOf(row: Policy, direction: 'ingress' | 'egress' = 'ingress', rule = 0): unknown {
  const peers = row[direction][rule]?.peers
  if (!Array.isArray(peers)) return peers
  return peers.map((peer) => (peer.kind === 'pods' ? peer.selector.id : [peer.cidr.text, ...peer.except.map((e: { text: string }) => `-${e.text}`)].join(' ')))
}

/** Ports as short text. */
export function portsOf(row: Policy, direction: 'ingress' | 'egress' = 'ingress', rule = 0): unknown {
  const ports = row[direction][rule]?.ports
  if (!Array.isArray(ports)) return ports
  return ports.map((port) => (port.kind === 'range' ? `${port.protocol} ${port.first}-${port.last}` : port.kind === 'named' ? `${port.protocol} ${port.name}` : port.protocol))
}
