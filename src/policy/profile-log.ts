// A profile and what each of its policies has logged -> what is logged of the profile: what it denies, and what it allows, by place.
//
// A denied packet is everybody's who isolates the pod; an allowed one is of the rules that allow it.
// **Invariant:** only places of the profile's own dispatch are named.
import { most, type Logged, type PolicyLog } from '../logging/wishes.ts'
import type { PolicyUid } from '../model/objects.ts'
import type { PlaceLog, PlanPort, PlanRule, PortClass, Profile, ProfileLog } from './plan.ts'

/** Undefined where nothing is to be logged. `logs`: of each of its policies, in their order. */
export function profileLog(profile: Pick<Profile, 'rules' | 'dispatch'>, logs: ReadonlyMap<PolicyUid, PolicyLog>): ProfileLog | undefined {
  const denied = most([...logs.values()].map((log) => log.denied))
  const allowing = profile.rules.filter(({ policy }) => (logs.get(policy)?.allowed ?? null) !== null)
  const allowed: Record<string, readonly PlaceLog[]> = {}
  for (const [index, ports] of allowing.length === 0 ? [] : profile.dispatch.entries()) {
    for (const [peer] of ports.peers === 'all' ? [null].entries() : ports.peers.entries()) {
      const logged = placeLogs(ports, (port) => most(allowing.filter((rule) => covers(rule, port) && isMeant(rule, ports, peer)).map(({ policy }) => logs.get(policy)?.allowed ?? null)))
      if (logged.length > 0) allowed[`${index}.${peer}`] = logged
    }
  }
  return denied === null && Object.keys(allowed).length === 0 ? undefined : Object.freeze({ denied, allowed: Object.freeze(allowed) })
}

/** One for each wish; `of` gives a port's, and that of a class without ports for null. */
function placeLogs({ ports }: PortClass, of: (port: PlanPort | null) => Logged | null): readonly PlaceLog[] {
  const byWish = new Map<string, { readonly logged: Logged; readonly ports: PlanPort[] }>()
  for (const port of ports.length === 0 ? [null] : ports) {
    const logged = of(port)
    if (logged === null) continue
    const key = `${logged.sample} ${logged.label}`
    const found = byWish.get(key) ?? { logged, ports: [] }
    byWish.set(key, found)
    if (port !== null) found.ports.push(port)
  }
  return Object.freeze([...byWish.values()].map(({ logged, ports: own }) => Object.freeze({ ...logged, ports: own.length === ports.length ? null : Object.freeze(own) })))
}

/**
 * Whether the rule is among those whose peers the place stands for. Where a port is open to everybody, or to a union, narrower rules
 * for it have no place of their own: they count there.
 */
function isMeant(rule: PlanRule, { peers }: PortClass, index: number): boolean {
  const peer = peers === 'all' ? undefined : peers[index]
  if (rule.peers === 'all' || peer === undefined) return true
  if (rule.peers.some(({ set }) => set === peer.set)) return true
  return peer.set.startsWith('union ') && rule.peers.some(({ kind }) => kind === peer.kind)
}

/** Whether the rule holds for all of the port; null is every one. */
function covers(rule: PlanRule, port: PlanPort | null): boolean {
  if (rule.ports === 'all') return true
  return port !== null && rule.ports.some((one) => one.protocol === port.protocol && one.first <= port.first && port.last <= one.last)
}
