// The form of the audit stream's records as JSON Schema (2020-12): for whoever reads the lines with other programs.
//
// `npm run generate` writes it to crds/. The compiler holds its keys to those of record.ts, and a test real records to its values.
// **Invariant:** every object is closed and has all its keys; every field has a sentence.
import { AGENT_EVENTS, END_KINDS, LOST_STAGES, MAX_LINE, REASONS, SCHEMA, VERDICTS, type AgentRecord, type FlowEnd, type FlowL4, type FlowPolicy, type FlowRecord, type FlowRule, type FlowService, type LostRecord } from './record.ts'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
export type Schema = { readonly [keyword: string]: Json }

/** Below crds/. */
export const SCHEMA_FILE = 'picket.flow-v1.schema.json'

/** A schema for each key of T, and no other. */
type Properties<T> = { readonly [Key in keyof T]-?: Schema }

function object<T>(description: string, properties: Properties<T>): Schema {
  return { type: 'object', description, properties: properties as { readonly [key: string]: Schema }, required: Object.keys(properties), additionalProperties: false }
}

function text(description: string, more: Schema = {}): Schema {
  return { type: 'string', description, ...more }
}

function oneOf(description: string, values: readonly string[]): Schema {
  return { type: 'string', description, enum: values }
}

function count(description: string, minimum = 0, maximum?: number): Schema {
  return { type: 'integer', description, minimum, ...(maximum === undefined ? {} : { maximum }) }
}

function list(description: string, items: Schema): Schema {
  return { type: 'array', description, items }
}

function orNull({ description, ...schema }: Schema): Schema {
  return { ...(description === undefined ? {} : { description }), anyOf: [schema, { type: 'null' }] }
}

/** A text or a number, or null. */
function nullable(schema: Schema): Schema {
  const values = schema['enum'] as readonly Json[] | undefined
  return { ...schema, type: [schema['type'] as string, 'null'], ...(values === undefined ? {} : { enum: [...values, null] }) }
}

const time = (description: string): Schema => text(`${description} RFC 3339 in UTC, with milliseconds.`, { format: 'date-time', pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$' })
const only = (value: string, description: string): Schema => ({ description, const: value })
const DIRECTION = ['ingress', 'egress']
const PORT = 65_535
const head = (type: string): Properties<{ schema: string; type: string; time: string }> => ({
  schema: only(SCHEMA, 'The form of this record; another form has another name.'),
  type: only(type, 'What the record is of.'),
  time: time('When the record was made.'),
})
const node = text('Name of the node whose agent made it.')

const POLICY: Properties<FlowPolicy> = {
  kind: oneOf('Of the object.', ['NetworkPolicy', 'ClusterNetworkPolicy']),
  namespace: nullable(text('Null for what has none.')),
  name: text('Of the object.'),
  uid: text('Of the object: another one of the same name has another.'),
}
const RULE: Properties<FlowRule> = {
  ...POLICY,
  generation: nullable(count('metadata.generation when the packet came; null where a manifest has none, or it is not known.')),
  direction: oneOf('Of the rule.', DIRECTION),
  index: count('Its place among the rules of that direction, from 0.'),
}
const policy = (description: string): Schema => object<FlowPolicy>(description, POLICY)
const rule = (description: string): Schema => object<FlowRule>(description, RULE)

const END: Properties<FlowEnd> = {
  kind: oneOf('pod; node; external: nobody whom the cluster knows, or it is not known who; service: the address of a Service that nothing translated.', END_KINDS),
  namespace: nullable(text('Of the pod or Service.')),
  pod: nullable(text('Name of the pod or node.')),
  uid: nullable(text('Of the pod, node or Service.')),
  node: nullable(text('Name of the node where it is.')),
  workload: orNull(object<NonNullable<FlowEnd['workload']>>('Who manages the pod: its controller, and of a ReplicaSet that a Deployment made, the Deployment.', { kind: text('Of the workload.'), name: text('Of the workload.') })),
  labels: { type: 'object', description: 'Of the pod.', additionalProperties: { type: 'string' } },
  labels_omitted: count('How many labels were left out because the line would have become too long.'),
}

const SERVICE = object<FlowService>('Through which it came; null: through none, or it is not known (undecided says so).', {
  namespace: text('Of the Service.'),
  name: text('Of the Service.'),
  port: nullable(count('As called; null where that is not known, as of node ports.', 0, PORT)),
  cluster_ip: nullable(text("Of the flow's family, where it has one of that.")),
})

const L4 = object<FlowL4>('What stands behind the IP header.', {
  protocol: text('TCP, UDP, SCTP, ICMP, ICMPv6, or its number.'),
  source_port: nullable(count('Null where the protocol has none.', 0, PORT)),
  destination_port: nullable(count('As policies see it: behind a Service, of the endpoint.', 0, PORT)),
  tcp_flags: { ...list('Of the first packet; null where it is not TCP.', { type: 'string', enum: ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'] }), type: ['array', 'null'] },
  icmp: orNull(object<NonNullable<FlowL4['icmp']>>('Of ICMP and ICMPv6.', { type: count('Of the message.', 0, 255), code: count('Of the message.', 0, 255) })),
})

const FLOW = object<FlowRecord>('Packets with all in common but their time and length, within a few seconds.', {
  ...head('verdict'),
  first_seen: time('When the first packet came.'),
  last_seen: time('When the last packet came.'),
  count: count('Packets that the kernel logged.', 1),
  bytes: count('Of those packets, from the IP header on.'),
  node,
  verdict: oneOf('What happened to the packets.', VERDICTS),
  reason: oneOf('Why: POLICY_ALLOW; POLICY_DENIED: isolated, and nothing allows it; POLICY_DENY: an explicit deny; NOT_READY: the pod is not known yet (newPods); SPOOFED; INVALID; CUT; SOURCE_RANGE; NO_ENDPOINT.', REASONS),
  direction: nullable(oneOf("Whose policies judged it: egress, the source's; ingress, the destination's; null: nobody's.", [...DIRECTION])),
  is_reply: { type: 'boolean', description: 'Whether it answers, as far as the packet itself tells.' },
  ip: object<FlowRecord['ip']>('As policies see them: behind a Service, the endpoint.', { source: text('Address.'), destination: text('Address.'), family: { description: 'Of the addresses.', enum: [4, 6] } }),
  l4: L4,
  source: object<FlowEnd>('Who sent it, when it came.', END),
  destination: object<FlowRecord['destination']>('To whom, when it came.', { ...END, service: orNull(SERVICE) }),
  policy: orNull(rule('The rule that allowed it.')),
  also: list('Other rules that allow it, too.', rule('One of them.')),
  isolated_by: orNull(object<NonNullable<FlowRecord['isolated_by']>>('The policies that isolate the pod in that direction.', { total: count('How many there are.'), policies: list('Some of them, by name.', policy('One of them.')) })),
  nearest_miss: orNull(object<NonNullable<FlowRecord['nearest_miss']>>('The rule that came nearest to allowing it; null where nobody knows.', { policy: policy('Whose rule it is.'), rule: count('Its place among the rules of that direction, from 0.'), why: text('What kept it from allowing this.') })),
  tier: { type: 'null', description: 'Null, until there are tiers.' },
  ruleset_revision: nullable(count('Of the ruleset that judged the first packet; null where that is not known.')),
  undecided: list('What could not be decided.', object<FlowRecord['undecided'][number]>('One field.', { field: text('Its name: source, destination.service.'), why: oneOf('ambiguous: more than one answer; unresolved: older than what is remembered.', ['ambiguous', 'unresolved']) })),
  sampled: count('One of so many packets was logged.', 1),
  label: nullable(text('Annotation audit.picket.dev/label of what had it logged.')),
})

const LOST = object<LostRecord>('What did not get through: exact, and at most one a second for each stage, and each sink or client.', {
  ...head('lost'),
  node,
  stage: oneOf('kernel: logged, and not read in time; queue: read, and not aggregated; client: a reader of GET /flows is slow; sink: so is a sink.', LOST_STAGES),
  name: nullable(text('Which sink or client; null where there is one only.')),
  count: count('Packets of the kernel and queue, records of the others.', 1),
  first: time('The time of the first.'),
  last: time('The time of the last.'),
})

const AGENT = object<AgentRecord>('What the agent says of itself.', {
  ...head('agent'),
  node,
  event: oneOf('What happened.', AGENT_EVENTS),
  message: text('For people, without control characters.'),
})

export const RECORD_SCHEMA: Schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: `https://picket.dev/schemas/${SCHEMA_FILE}`,
  title: SCHEMA,
  description: `One line of Picket's audit stream; at most ${MAX_LINE} bytes with its end.`,
  oneOf: [FLOW, LOST, AGENT],
}
