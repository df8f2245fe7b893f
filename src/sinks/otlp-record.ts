// A record as a log record of OpenTelemetry: the whole line as its body, and what people search for as attributes.
//
// Names are those of OpenTelemetry's semantic conventions where they have one, and begin with `picket.` elsewhere. Nothing of the
// OpenTelemetry packages is loaded here but types. **Invariant:** the body is the line as every other sink has it.
import type { Attributes, HrTime } from '@opentelemetry/api'
import type { Resource } from '@opentelemetry/resources'
import type { ReadableLogRecord } from '@opentelemetry/sdk-logs'
import type { AuditRecord, FlowEnd, FlowRecord } from '../flows/record.ts'
import type { RecordLine } from './sink.ts'

const SCOPE = { name: 'picket.audit' }

/** `resource`: of the record's node, the same object for each. */
export function logRecordOf({ record, line }: RecordLine, resource: Resource): ReadableLogRecord {
  const [severityNumber, severityText] = severityOf(record)
  return {
    hrTime: hrTimeOf(record.type === 'agent' ? record.time : record.type === 'lost' ? record.first : record.first_seen),
    hrTimeObserved: hrTimeOf(record.time),
    severityNumber,
    severityText,
    body: line,
    eventName: `picket.${record.type}`,
    resource,
    instrumentationScope: SCOPE,
    attributes: attributesOf(record),
    droppedAttributesCount: 0,
  }
}

/** As syslog's levels map to OpenTelemetry's; why which: syslog-frame.ts. */
function severityOf(record: AuditRecord): readonly [number, string] {
  switch (record.type) {
    case 'verdict':
      return record.verdict === 'DROPPED' ? [10, 'NOTICE'] : [9, 'INFO']
    case 'lost':
      return [13, 'WARN']
    case 'agent':
      return record.event === 'sink-failed' ? [13, 'WARN'] : [10, 'NOTICE']
  }
}

function attributesOf(record: AuditRecord): Attributes {
  switch (record.type) {
    case 'verdict':
      return flowAttributes(record)
    case 'lost':
      return present({ 'picket.stage': record.stage, 'picket.name': record.name, 'picket.count': record.count })
    case 'agent':
      return { 'picket.event': record.event }
  }
}

function flowAttributes({ verdict, reason, direction, count, ip, l4, source, destination, policy, label }: FlowRecord): Attributes {
  const service = destination.service
  return present({
    'picket.verdict': verdict,
    'picket.reason': reason,
    'picket.direction': direction,
    'picket.count': count,
    'source.address': ip.source,
    'source.port': l4.source_port,
    'destination.address': ip.destination,
    'destination.port': l4.destination_port,
    'network.type': ip.family === 4 ? 'ipv4' : 'ipv6',
    'network.transport': l4.protocol.toLowerCase(),
    ...endAttributes('source', source),
    ...endAttributes('destination', destination),
    'picket.destination.service': service === null ? null : `${service.namespace}/${service.name}`,
    'picket.policy': policy === null ? null : policy.namespace === null ? policy.name : `${policy.namespace}/${policy.name}`,
    'picket.label': label,
  })
}

function endAttributes(which: string, { kind, namespace, pod }: FlowEnd): Readonly<Record<string, string | null>> {
  return { [`picket.${which}.kind`]: kind, [`picket.${which}.namespace`]: namespace, [`picket.${which}.pod`]: pod }
}

function present(attributes: Readonly<Record<string, string | number | null>>): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter((entry): entry is [string, string | number] => entry[1] !== null))
}

/** Seconds and nanoseconds since 1970. */
function hrTimeOf(time: string): HrTime {
  const ms = Date.parse(time)
  return [Math.floor(ms / 1000), (ms % 1000) * 1_000_000]
}
