// A profile and what each of its policies has logged -> what is logged of the profile: what it denies, and what it allows, by place.
//
// A denied packet is everybody's who isolates the pod; an allowed one is of the rules that allow it.
// **Invariant:** only places of the profile's own dispatch are named.
import { most, type Logged, type PolicyLog } from '../logging/wishes.ts'
import type { PolicyUid } from '../model/objects.ts'
import type { PlanPort, PlanRule, PortClass, Profile, ProfileLog } from './plan.ts'

/** Undefined where nothing is to be logged. `logs`: of each of its policies, in their order. */
export function profileLog(profile: Pick<Profile, 'rules' | 'dispatch'>, logs: ReadonlyMap<PolicyUid, PolicyLog>): ProfileLog | undefined {
  const denied = most([...logs.values()].map((log) => log.denied))
  const allowing = profile.rules.filter(({ policy }) => (logs.get(policy)?.allowed ?? null) !== null)
  const allowed: Record<string, Logged> = {}
  for (const [index, ports] of allowing.length === 0 ? [] : profile.dispatch.entries()) {
    for (const [peer] of ports.peers === 'all' ? [null].entries() : ports.peers.entries()) {
      const logged = most(allowing.filter((rule) => allows(rule, ports, peer)).map(({ policy }) => logs.get(policy)?.allowed ?? null))
      if (logged !== null) allowed[`${index}.${peer}`] = logged
    }
  }
  return denied === null && Object.keys(allowed).length === 0 ? undefined : Object.freeze({ denied, allowed: Object.freeze(allowed) })
}

/**
 * Whether the rule is among those that the place stands for. Where a port is open to everybody, or to a union, narrower rules for
 * it have no place of their own: they count there.
 */
function allows(rule: PlanRule, { ports, peers }: PortClass, index: number): boolean {
  if (!covers(rule, ports)) return false
  const peer = peers === 'all' ? undefined : peers[index]
  if (rule.peers === 'all' || peer === undefined) return true
  if (rule.peers.some(({ set }) => set === peer.set)) return true
  return peer.set.startsWith('union ') && rule.peers.some(({ kind }) => kind === peer.kind)
}

/** Whether the rule holds for any of the class's ports, all of each. */
function covers(rule: PlanRule, ports: readonly PlanPort[]): boolean {
  if (rule.ports === 'all') return true
  const own = rule.ports
  return ports.some((port) => own.some((one) => one.protocol === port.protocol && one.first <= port.first && port.last <= one.last))
}
