// NodeEnforcement: what the agent of one node enforces, and what it cannot. Written by that agent; the operator owns one condition.
//
// Cluster-scoped, under the Node's name, owned by the Node. **Invariant:** of constant size, whatever the cluster holds; nothing in it
// changes by itself: no counters of packets, no heartbeats.
import { count, list, map, object, oneOf, optional, text, time, type Fields, type TypeOf } from './fields.ts'
import { conditionColumn, type Resource } from './schema.ts'
import { conditions, message, namespaceName, objectName, reason, resourceVersion, uid } from './shared.ts'

/** At most so many failures are listed; failuresTotal counts all. */
export const LISTED_FAILURES = 32
/** So many policy generations are remembered with their latency. */
export const LISTED_COMMITS = 64

const FAILURE = object(
  {
    ref: object(
      {
        kind: oneOf(['NetworkPolicy', 'Service'], 'NetworkPolicy or Service.'),
        namespace: namespaceName('Its namespace.'),
        name: objectName('Its name.'),
        uid: optional(uid('Its UID, where the agent knows it.')),
      },
      'What cannot be enforced.',
    ),
    reason: reason('Why, in one word for programs.'),
    message: message('Why, and what to do about it.'),
    since: time('Since when.'),
  },
  'One policy or Service that this node cannot enforce as it is written.',
)

const COMMIT = object(
  {
    uid: uid('UID of the NetworkPolicy.'),
    generation: count('Its metadata.generation.', 64),
    latencyMs: count("Milliseconds from the event's arrival at the agent to the commit in the kernel, by one clock.", 64),
  },
  'A generation of a policy that the kernel has.',
)

const STATUS_FIELDS = {
  agentVersion: optional(text('Version of the agent.', 64)),
  kernel: optional(text('Release of the kernel.', 128)),
  nftables: optional(text('Version of nftables.', 128)),
  ruleset: optional(
    object({ revision: count('Number of the last committed revision, from the start of the agent on.', 64), hash: text('Hash of its text and, behind the dash, of the generations of the policies in it: equal where the same is enforced.', 64) }, 'What the kernel holds.'),
  ),
  observedResourceVersions: optional(
    map(
      resourceVersion('Of the last committed revision: whatever the API said up to it is in the kernel, or in failures.'),
      16,
      'For each resource that the agent watches (networkpolicies, pods, ...) the resourceVersion that the last committed revision covers. Written together with failures. Compared as integers; after a relist they may go down.',
    ),
  ),
  lastProgrammedTime: optional(time('When the kernel last took a revision, as of this write.')),
  counts: optional(
    object(
      {
        pods: object(
          {
            isolated: count('Pods that a policy isolates in a direction at least.'),
            open: count('Pods that no policy isolates.'),
            pending: count('Pods that are not programmed yet.'),
          },
          'Pods of this node on the pod network: each is one of isolated, open, pending.',
        ),
        policies: count('NetworkPolicies that select a pod of this node.'),
        rules: count('Rules in the kernel.'),
        setElements: count('Elements of sets and maps in the kernel.'),
        services: count('Services that this node translates.'),
      },
      'How much there is, as of this write.',
    ),
  ),
  failures: optional(list(FAILURE, LISTED_FAILURES, `Up to ${LISTED_FAILURES} policies and Services that this node cannot enforce.`)),
  failuresTotal: optional(count('How many there are. While it exceeds the list, every unlisted policy with pods here counts as pending.')),
  committed: optional(list(COMMIT, LISTED_COMMITS, `The last ${LISTED_COMMITS} policy generations that the kernel took, the newest last.`)),
  conditions: optional(
    conditions(
      [
        'Ready: the agent has read the cluster and the kernel enforces what it read.',
        'Programmed: the kernel has taken the last revision whole.',
        'TableIntact: the table is as the agent made it, and real packets are dropped and passed by it.',
        "AuditHealthy: the kernel's log of verdicts is read, nothing of it was lost in the last five minutes, and all sinks can write.",
        'Reporting: the agent and the Node are ready, so that what this object says is up to date. Written by the operator.',
      ].join('\n'),
    ),
  ),
  summary: optional(object({ pods: text('Isolated pods of all pods on the pod network of this node: 12/20.', 32) }, 'Texts for the columns of kubectl get, each of which shows one field.')),
} satisfies Fields

const STATUS = object(STATUS_FIELDS, 'What the agent last wrote: at a failure, a commit of a policy that selects pods of this node, the end of a policy of their namespaces, or a changed count.', [
  { rule: '(has(self.failures) ? size(self.failures) : 0) <= (has(self.failuresTotal) ? self.failuresTotal : 0)', message: 'failuresTotal counts the listed failures too' },
])

export type NodeEnforcementStatus = TypeOf<typeof STATUS>
export type NodeFailure = TypeOf<typeof FAILURE>
export type PolicyCommit = TypeOf<typeof COMMIT>

export const NODE_ENFORCEMENT = Object.freeze<Resource<typeof STATUS>>({
  kind: 'NodeEnforcement',
  plural: 'nodeenforcements',
  shortName: 'nodeenf',
  scope: 'Cluster',
  description: 'What the Picket agent of the Node of the same name enforces, and what it cannot. Written by that agent.',
  columns: [
    conditionColumn('Reporting', 'Reporting', 'Whether the agent and the Node are ready: what is shown is old where they are not.'),
    conditionColumn('Ready', 'Ready', 'Whether the node enforces what the cluster says.'),
    { name: 'Policies', type: 'integer', jsonPath: '.status.counts.policies', description: 'NetworkPolicies that select a pod of this node.' },
    { name: 'Pods', type: 'string', jsonPath: '.status.summary.pods', description: 'Isolated pods of all pods on the pod network of this node.' },
    { name: 'Failures', type: 'integer', jsonPath: '.status.failuresTotal', description: 'Policies and Services that this node cannot enforce.' },
    conditionColumn('Programmed', 'Programmed', 'Whether the kernel has taken the last revision whole.'),
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Since when there is this object.' },
  ],
  status: STATUS,
  rules: [],
})
