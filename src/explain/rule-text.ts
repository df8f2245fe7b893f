// A rule of a policy, as one line that people read: `from pods app=web of namespace shop; ports 80/TCP`.
//
// **Invariant:** peers and ports stand in the policy's own order, and nothing that it says is left out.
import type { Direction, Peer, Policy, PolicyPort, PolicyRule } from '../model/policy.ts'
import type { PodSelector } from '../model/selector.ts'
import type { RuleName } from './answer.ts'

export function ruleName(policy: Policy, direction: Direction, rule: PolicyRule): RuleName {
  return { namespace: policy.namespace, name: policy.name, direction, index: rule.index, text: ruleText(direction, rule) }
}

function ruleText(direction: Direction, { peers, ports }: PolicyRule): string {
  const word = direction === 'ingress' ? 'from' : 'to'
  const who = peers === 'all' ? 'everybody' : peers.length === 0 ? 'nobody' : peers.map(peerText).join(', or ')
  return `${word} ${who}; ${ports === 'all' ? 'every port' : ports.length === 0 ? 'no port' : `ports ${portsText(ports)}`}`
}

export function peerText(peer: Peer): string {
  if (peer.kind === 'pods') return selectorText(peer.selector)
  return `ipBlock ${peer.cidr.text}${peer.except.length === 0 ? '' : ` except ${peer.except.map(({ text }) => text).join(', ')}`}`
}

export function selectorText({ namespaces, pods }: PodSelector): string {
  const which = pods.text === '' ? 'every pod' : `pods ${pods.text}`
  if (namespaces.kind === 'named') return `${which} of namespace ${namespaces.name}`
  return `${which} of ${namespaces.selector.text === '' ? 'every namespace' : `namespaces ${namespaces.selector.text}`}`
}

export function portsText(ports: readonly PolicyPort[]): string {
  return ports.map(portText).join(', ')
}

export function portText(port: PolicyPort): string {
  switch (port.kind) {
    case 'protocol':
      return `every ${port.protocol}`
    case 'named':
      return `${port.name}/${port.protocol}`
    case 'range':
      return `${port.first}${port.last === port.first ? '' : `-${port.last}`}/${port.protocol}`
  }
}
