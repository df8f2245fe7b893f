// The tests that planted bugs are held against.
//
// **Invariant:** each passes where nothing is planted, as run.ts sees to first.

export interface MutantTest {
  readonly file: string
  /** Of the titles; all where it is not given. */
  readonly grep?: string
  /** Property tests: how many runs. What is caught is a property that failed. */
  readonly runs?: number
}

export const TESTS = {
  auditHistory: { file: 'test/property/audit-history.test.ts', runs: 1500 },
  auditServices: { file: 'test/property/audit-services.test.ts', runs: 500 },
  auditRecords: { file: 'test/unit/audit/records.test.ts' },
  auditInterfaces: { file: 'test/unit/audit/history.test.ts' },
  auditLines: { file: 'test/unit/flows/line.test.ts', grep: 'flows: lines' },
  policy: { file: 'test/property/policy.test.ts', grep: 'every packet meets', runs: 1500 },
  transitions: { file: 'test/transitions/expanders.test.ts', grep: 'any story', runs: 400 },
  logRules: { file: 'test/unit/ruleset/log-rules.test.ts' },
  logPrefix: { file: 'test/unit/ruleset/log-prefix.test.ts' },
  logWishes: { file: 'test/unit/logging/wishes.test.ts' },
  logAnnotations: { file: 'test/unit/decode/log-annotations.test.ts' },
  logEnds: { file: 'test/unit/agent/log-ends.test.ts' },
  diff: { file: 'test/unit/nft/diff.test.ts' },
  compare: { file: 'test/unit/nft/compare.test.ts' },
  memory: { file: 'test/unit/agent/rule-memory.test.ts' },
  repair: { file: 'test/unit/agent/repair.test.ts' },
  containment: { file: 'test/unit/agent/containment.test.ts' },
  quarantine: { file: 'test/unit/store/quarantine.test.ts' },
  pins: { file: 'test/unit/ruleset/bridge.test.ts' },
  cutSet: { file: 'test/unit/agent/cut-set.test.ts' },
  cutter: { file: 'test/unit/agent/cutter.test.ts' },
  services: { file: 'test/property/services.test.ts', grep: 'at every step|however the events', runs: 1200 },
  affinity: { file: 'test/property/services.test.ts', grep: 'clients stay', runs: 400 },
  stays: { file: 'test/unit/nat/services.test.ts', grep: 'clients' },
  clients: { file: 'test/unit/agent/remembered-clients.test.ts' },
  clientSweep: { file: 'test/unit/kernel/client-sweep.test.ts' },
  serviceUdp: { file: 'test/unit/nat/service-udp.test.ts' },
  room: { file: 'test/unit/nat/room.test.ts' },
  sourceRanges: { file: 'test/unit/nat/source-ranges.test.ts' },
  nodeFacts: { file: 'test/unit/nat/node-facts.test.ts' },
  masquerade: { file: 'test/unit/nat/masquerade.test.ts' },
  stale: { file: 'test/unit/nat/stale.test.ts' },
  serviceHealth: { file: 'test/unit/agent/service-health.test.ts' },
  followers: { file: 'test/unit/agent/followers.test.ts' },
  lists: { file: 'test/unit/nat/lists.test.ts' },
  nodeStatus: { file: 'test/unit/agent/node-enforcement.test.ts' },
  gonePolicies: { file: 'test/unit/agent/gone-policies.test.ts' },
  statusWait: { file: 'test/property/status-wait.test.ts', runs: 1500 },
  statusPast: { file: 'test/unit/status/past.test.ts' },
  watermarks: { file: 'test/unit/agent/watermarks.test.ts' },
  summary: { file: 'test/property/summary.test.ts', runs: 1500 },
  summaryTimes: { file: 'test/unit/summary/times.test.ts' },
  summaryNodes: { file: 'test/unit/summary/nodes.test.ts' },
  operatorNamed: { file: 'test/unit/operator/named.test.ts' },
  operatorReadiness: { file: 'test/unit/operator/readiness.test.ts' },
  operatorSilence: { file: 'test/unit/operator/silence.test.ts' },
  operatorView: { file: 'test/unit/operator/view.test.ts' },
  operatorWrites: { file: 'test/unit/operator/enforcements.test.ts' },
  operatorTerm: { file: 'test/unit/operator/term.test.ts' },
  operatorLeading: { file: 'test/unit/operator/leading.test.ts' },
  canary: { file: 'test/unit/agent/canary.test.ts' },
  canaryVerdict: { file: 'test/unit/canary/verdict.test.ts' },
  canaryTable: { file: 'test/unit/ruleset/canary.test.ts' },
  sinkQueue: { file: 'test/unit/sinks/queue.test.ts' },
  fileSink: { file: 'test/unit/sinks/file.test.ts' },
  otlpSink: { file: 'test/unit/sinks/otlp.test.ts' },
  syslogSink: { file: 'test/unit/sinks/syslog.test.ts' },
  fanOut: { file: 'test/unit/sinks/fan-out.test.ts' },
  flowStream: { file: 'test/unit/serve/flows.test.ts' },
  explain: { file: 'test/unit/explain/explain.test.ts', grep: '^(?!.*on the page)' },
  explainServices: { file: 'test/unit/explain/services.test.ts' },
  explainAgents: { file: 'test/unit/cli/explain-agents.test.ts' },
  flowFilter: { file: 'test/unit/flows/filter.test.ts' },
  flowOutputs: { file: 'test/unit/flows/outputs.test.ts' },
  observeCluster: { file: 'test/unit/cli/observe-cluster.test.ts' },
  explaining: { file: 'test/unit/agent/explaining.test.ts' },
  ruleCounters: { file: 'test/unit/ruleset/rule-counters.test.ts' },
  counting: { file: 'test/unit/agent/counting.test.ts' },
  golden: { file: 'test/golden/golden.test.ts' },
  // These want root.
  bridge: { file: 'test/kernel/bridge.test.ts', grep: 'rule 87' },
  strays: { file: 'test/kernel/bridge-strays.test.ts' },
} as const satisfies Readonly<Record<string, MutantTest>>

export type TestName = keyof typeof TESTS
