// PolicyEnforcement: what enforces one NetworkPolicy, where, since when and how fast. Written by the operator only.
//
// In the policy's namespace, under its name, owned by it. **Invariant:** it has a status and no spec, and says of which generation of
// the policy it speaks in policyGeneration: its own generation stays 1.
import { count, flag, list, object, oneOf, optional, text, time, type Fields, type TypeOf } from './fields.ts'
import { conditionColumn, type Resource } from './schema.ts'
import { conditions, message, objectName, reason, resourceVersion, uid } from './shared.ts'
import { WARNING_TYPES, WARNINGS } from './warnings.ts'

/** At most so many failed nodes are listed. */
export const LISTED_NODES = 10

const POLICY_REF = object(
  {
    name: objectName('Name of the NetworkPolicy, which is in the same namespace and has the name of this object.'),
    uid: { ...uid('UID of the NetworkPolicy.'), rules: [{ rule: 'self == oldSelf', message: 'a policy that was made anew has a status object of its own: delete this one' }] },
    resourceVersion: resourceVersion('resourceVersion at which the operator first saw this generation: nodes that have observed it enforce the generation.'),
  },
  'Of which NetworkPolicy this is the status.',
)

const NODES = object(
  {
    desired: count('Nodes with a pod that the policy selects.'),
    programmed: count('Nodes on which the kernel enforces this generation.'),
    pending: count('Nodes that have not said yet that the kernel has this generation.'),
    failed: count('Nodes that say that they cannot enforce it.'),
    stale: count('Nodes that say nothing: no NodeEnforcement, or their agent or the Node is not ready.'),
  },
  'Nodes with a selected pod: each is exactly one of programmed, pending, failed, stale.',
  [{ rule: 'self.desired == self.programmed + self.pending + self.failed + self.stale', message: 'every desired node is exactly one of programmed, pending, failed, stale' }],
)

const FAILED_NODE = object(
  {
    name: objectName('Name of the Node.'),
    reason: reason('Why, in one word for programs, as its agent says it.'),
    message: message('Why, as its agent says it.'),
    since: time('Since when.'),
  },
  'A node that cannot enforce the policy.',
)

const peersOf = (direction: string) =>
  object(
    {
      everyone: flag(`Whether a rule of ${direction} has no peers, and so means all of them.`),
      pods: count(`Pods that podSelectors and namespaceSelectors of ${direction} match now, each counted once.`),
      ipBlocks: count(`Number of ipBlocks in the rules of ${direction}.`),
    },
    `Who is meant by the rules of ${direction}. Nobody where the policy does not isolate ${direction}.`,
  )

const TIME_TO_ENFORCE = object(
  {
    p50Ms: count('Milliseconds that half of the nodes took at most.', 64),
    maxMs: count('Milliseconds that the slowest node took.', 64),
    nodes: count('How many nodes told it.'),
  },
  'How long nodes took from the arrival of the event to the commit of this generation in their kernel, each by its own clock.',
  [{ rule: 'self.p50Ms <= self.maxMs', message: 'the median is not greater than the maximum' }],
)

const WARNING = object(
  {
    type: oneOf(WARNING_TYPES, ['What is surprising about the policy.', ...WARNING_TYPES.map((type) => `${type}: ${WARNINGS[type]}`)].join('\n')),
    message: message('Which parts of the policy are meant.'),
  },
  'Something that the author of the policy may not expect.',
)

/**
 * Lists but conditions have no key: one writer has all of each. Of a list with one, server-side apply makes nothing when its last item goes,
 * and not the empty list that was applied.
 */
const STATUS_FIELDS = {
  policyGeneration: count('metadata.generation of the NetworkPolicy that this status speaks of. Wait until it is that of your edit, then for Programmed.', 64),
  policyRef: POLICY_REF,
  programmedGeneration: optional(
    count('The last generation for which Programmed was True, whatever became of it since; absent until one was. The Event Programmed is told when it becomes another one.', 64),
  ),
  conditions: conditions(
    [
      'Accepted: True/Accepted, or False/Invalid where a field cannot be read, False/Unsupported where there is a field that Picket does not know.',
      'Programmed: False/NodeFailures while a node says that it fails, else False/Reconciling while a node is pending, else Unknown/NoReport while a node is stale, else True/Programmed, also where no node has a selected pod.',
      'Reconciling: only while True, where it is not Stalled: nodes are pending or stale.',
      'Stalled: only while True: the policy is not accepted, or a node fails; somebody has to do something.',
    ].join('\n'),
  ),
  nodes: NODES,
  failedNodes: list(FAILED_NODE, LISTED_NODES, `The first ${LISTED_NODES} failed nodes by name.`),
  moreFailedNodes: count('How many more have failed than are listed.'),
  selectedPods: count('Pods that the policy selects, those of the network of their node and finished ones left out.'),
  isolates: list(oneOf(['Ingress', 'Egress'], 'Ingress or Egress.'), 2, 'The directions in which selected pods are isolated.'),
  peers: object({ ingress: peersOf('ingress'), egress: peersOf('egress') }, 'Who the rules mean, for each direction.'),
  timeToEnforce: optional(TIME_TO_ENFORCE),
  warnings: list(WARNING, WARNING_TYPES.length, 'What the author of the policy may not expect; it is enforced nevertheless, as it is written.'),
  summary: object(
    {
      nodes: text('Programmed nodes of desired ones: 12/12.', 32),
      timeToEnforce: text('Median and maximum: 18ms (max 140ms); <unknown> while no node told it.', 64),
      warnings: text('The types of the warnings, with commas between; <none> for none.', 256),
    },
    'Texts for the columns of kubectl get, each of which shows one field.',
  ),
} satisfies Fields

const STATUS = object(STATUS_FIELDS, 'What the operator last knew. Counts are refreshed with every transition, else at most every 10 minutes.', [
  { rule: 'size(self.failedNodes) + self.moreFailedNodes == self.nodes.failed', message: 'every failed node is listed or counted' },
])

export type PolicyEnforcementStatus = TypeOf<typeof STATUS>
export type PolicyWarning = TypeOf<typeof WARNING>
export type FailedNode = TypeOf<typeof FAILED_NODE>
export type TimeToEnforce = TypeOf<typeof TIME_TO_ENFORCE>
export type NodeCounts = TypeOf<typeof NODES>
export type DirectionPeers = TypeOf<ReturnType<typeof peersOf>>

export const POLICY_ENFORCEMENT = Object.freeze<Resource<typeof STATUS>>({
  kind: 'PolicyEnforcement',
  plural: 'policyenforcements',
  shortName: 'polenf',
  scope: 'Namespaced',
  description: 'Whether, where, since when and how fast the NetworkPolicy of the same name and namespace is enforced. Written by the Picket operator; nobody else need write it.',
  columns: [
    conditionColumn('Programmed', 'Programmed', 'Whether every node with a selected pod enforces this generation.'),
    { name: 'Nodes', type: 'string', jsonPath: '.status.summary.nodes', description: 'Programmed nodes of those with a selected pod.' },
    { name: 'Pods', type: 'integer', jsonPath: '.status.selectedPods', description: 'Pods that the policy selects.' },
    { name: 'Time-To-Enforce', type: 'string', jsonPath: '.status.summary.timeToEnforce', description: 'Median and maximum over the nodes.' },
    { name: 'Warnings', type: 'string', jsonPath: '.status.summary.warnings', description: 'What the author may not expect.' },
    { name: 'Since', type: 'date', jsonPath: '.status.conditions[?(@.type=="Programmed")].lastTransitionTime', description: 'Since when PROGRAMMED is what it is.' },
  ],
  status: STATUS,
  rules: [{ rule: '!has(self.status) || self.status.policyRef.name == self.metadata.name', message: 'policyRef.name must be the name of this object' }],
})
