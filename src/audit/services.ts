// The Service that a flow came through: what its mark or, where nothing was translated, its destination leads to.
//
// An allow rule logs with the packet's own mark where it has one, which may be anybody's: then it is not known.
// **Invariant:** null without a word means: through none.
import type { FlowService } from '../flows/record.ts'
import { familyOf, type Address } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { LogEvent } from '../ruleset/log-prefix.ts'
import { listOfMark, type MarkLayout } from '../ruleset/marks.ts'
import type { Undecided } from './ends.ts'
import type { AuditHistory } from './history.ts'
import type { ServiceWord } from './history-services.ts'
import type { LoggedFlow } from './logged-flow.ts'
import type { Span } from './moments.ts'

export interface FoundService {
  readonly service: FlowService | null
  readonly why: Undecided | null
}

/** Those whose packets are logged as they were called. */
const UNTRANSLATED: readonly LogEvent[] = ['source-range', 'service-rejected', 'service-dropped']
const NONE: FoundService = Object.freeze({ service: null, why: null })

/** `layout` null: Services are somebody else's. */
export function serviceOf(history: AuditHistory, layout: MarkLayout | null, event: LogEvent, flow: LoggedFlow, protocol: Protocol | null, span: Span): FoundService {
  if (layout === null) return NONE
  if (UNTRANSLATED.includes(event)) {
    if (history.isTooOld(span)) return { service: null, why: 'unresolved' }
    const words = history.servicesAt(flow.destination, protocol, flow.destinationPort, span)
    return of(words, flow.destination, flow.destinationPort)
  }
  const id = listOfMark(layout, flow.mark)
  const isOpen = event === 'allowed' && flow.mark !== 0
  if (id === null || flow.destinationPort === null) return isOpen ? { service: null, why: 'ambiguous' } : NONE
  if (history.isTooOld(span)) return { service: null, why: 'unresolved' }
  const words = history.servicesOfList(id, { address: flow.destination, port: flow.destinationPort }, span, event === 'allowed')
  // Where the mark is the connection's, that is older than what is remembered.
  return words.length === 0 ? { service: null, why: isOpen ? 'ambiguous' : 'unresolved' } : of(words, flow.destination, null)
}

/** `called`: where the packet still has the port. */
function of(words: readonly (ServiceWord | null)[], destination: Address, called: number | null): FoundService {
  const [first, ...others] = words
  if (first === undefined || (first === null && others.length === 0)) return NONE
  if (first === null || others.some((word) => word?.uid !== first.uid || word.name !== first.name || word.namespace !== first.namespace)) return { service: null, why: 'ambiguous' }
  const isSamePort = others.every((word) => word?.port === first.port)
  const { namespace, name, clusterIps } = first
  const ip = clusterIps.find((address) => familyOf(address) === familyOf(destination)) ?? clusterIps[0] ?? null
  const isSameIp = others.every((word) => word?.clusterIps.includes(ip ?? '') === true)
  return { service: { namespace, name, port: called ?? (isSamePort ? first.port : null), cluster_ip: isSameIp ? ip : null }, why: others.length > 0 ? 'ambiguous' : null }
}
