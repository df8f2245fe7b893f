// What `picket check --local -o json` prints: a node's findings, and what the one who asked needs besides. Written and read here.
//
// **Invariant:** stable keys; what another version wrote, or nobody of ours, is refused with a reason and never half believed.
import { parseCidr } from '../model/ip.ts'
import type { HostInterface } from '../model/objects.ts'
import type { Finding } from './finding.ts'
import type { NodeFacts } from './node-facts.ts'
import { judgeNode } from './judge-node.ts'

export interface NodeReport {
  readonly version: string
  /** ISO 8601, by the node's clock. */
  readonly time: string
  readonly findings: readonly Finding[]
  readonly interfaces: readonly WrittenInterface[]
}

export type WrittenInterface = Omit<HostInterface, 'networks' | 'behind'> & { readonly networks: readonly string[] }

/** `version`: ours. */
export function nodeReport(facts: NodeFacts, version: string): NodeReport {
  const interfaces = facts.links.map(({ index, name, kind, master, addresses, hostRoutes, hasWiderRoutes, networks }) => ({
    index, name, kind, master, addresses, hostRoutes, hasWiderRoutes, networks: networks.map(({ text }) => text),
  }))
  return { version, time: new Date(facts.time).toISOString(), findings: judgeNode(facts), interfaces }
}

/** A text where it is no report: why. */
export function readReport(text: string): NodeReport | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return `it said ${JSON.stringify(text.trim().split('\n').at(-1)?.slice(0, 200) ?? '')}`
  }
  const { findings, interfaces, time, version } = (value ?? {}) as Partial<NodeReport>
  const whole = Array.isArray(findings) && Array.isArray(interfaces) && typeof time === 'string' && typeof version === 'string'
  return whole ? { findings, interfaces, time, version } : 'it answered in another form'
}

export function interfacesOf(report: NodeReport): readonly HostInterface[] {
  return report.interfaces.map(({ networks, ...rest }) => Object.freeze({ ...rest, networks: networks.flatMap((text) => parseCidr(text) ?? []), behind: null }))
}
