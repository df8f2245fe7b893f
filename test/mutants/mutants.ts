// Planted bugs: each one is a mistake that somebody has shipped, as a patch to one file of src/.
//
// These are of the compiler; loop-mutants.ts has those of the agent's loop.
// **Invariant:** `search` stands exactly once in its file (run.ts fails otherwise, so that no mutant can rot), and every
// mutant is caught by the test that it names.

import type { TestName } from './tests.ts'

export interface Mutant {
  readonly title: string
  /** Below src/. */
  readonly file: string
  readonly search: string
  readonly replace: string
  /** Of those in run.ts: `policy` compiles states from nothing, `transitions` walks from one to the next. */
  readonly caughtBy: TestName
}

export const MUTANTS: readonly Mutant[] = [
  {
    title: 'rule 1: isolated in one direction, isolated in both',
    file: 'policy/isolation.ts',
    search: 'if (policy.isolates[direction] && selects(policy, pod))',
    replace: 'if (selects(policy, pod))',
    caughtBy: 'policy',
  },
  {
    title: 'rule 3: without policyTypes, egress is never isolated',
    file: 'decode/network-policy.ts',
    search: 'egress: egress !== undefined && !(Array.isArray(egress) && egress.length === 0)',
    replace: 'egress: false',
    caughtBy: 'policy',
  },
  { title: 'rule 7: the first policy counts, the others do not', file: 'policy/isolation.ts', search: 'policies, ports }', replace: 'policies: policies.slice(0, 1), ports }', caughtBy: 'policy' },
  {
    title: 'rule 12: a podSelector alone means pods of every namespace',
    file: 'decode/peers.ts',
    search: "{ kind: 'named', name: namespace }",
    replace: "{ kind: 'matching', selector: EVERYTHING }",
    caughtBy: 'policy',
  },
  {
    title: 'rule 14: with both selectors in one peer, the pods of the namespace are all taken',
    file: 'decode/peers.ts',
    search: 'podReading?.selector ?? EVERYTHING',
    replace: 'namespaceReading === null ? (podReading?.selector ?? EVERYTHING) : EVERYTHING',
    caughtBy: 'policy',
  },
  { title: 'rule 16: NotIn wants the key', file: 'model/labels.ts', search: 'value === undefined || !r.values.includes(value)', replace: 'value !== undefined && !r.values.includes(value)', caughtBy: 'policy' },
  { title: 'rule 19: an empty value is a missing key', file: 'model/labels.ts', search: "case 'Exists':\n      return value !== undefined", replace: "case 'Exists':\n      return Boolean(value)", caughtBy: 'policy' },
  { title: 'rule 23: a rule whose ports mean nothing opens all of them', file: 'policy/peers.ts', search: "const ports = rule.ports === 'all' ?", replace: "const ports = rule.ports === 'all' || numericPorts(rule.ports, direction, numbers).length === 0 ?", caughtBy: 'policy' },
  { title: 'rule 24: a hostNetwork pod is a peer like any other', file: 'model/policy.ts', search: '!pod.hostNetwork && !pod.finished', replace: '!pod.finished', caughtBy: 'policy' },
  { title: 'rule 30: a protocol without a port opens nothing', file: 'policy/peers.ts', search: 'found.push({ protocol: port.protocol, ...WHOLE_PROTOCOL })', replace: '', caughtBy: 'policy' },
  { title: 'rule 30: a protocol without a port opens every protocol', file: 'ruleset/policies.ts', search: 'return `meta l4proto ${protocol} `', replace: "return ''", caughtBy: 'policy' },
  { title: 'rule 31: what is behind an exact port is never reached', file: 'ruleset/policies.ts', search: '`jump ${portsChain(profile.id, c)}`', replace: '`goto ${portsChain(profile.id, c)}`', caughtBy: 'policy' },
  { title: 'rule 32: endPort does not belong to the range', file: 'ruleset/policies.ts', search: '${port.first}-${port.last} `', replace: '${port.first}-${port.last - 1} `', caughtBy: 'policy' },
  { title: 'rule 36: an egress port by name is the number of any protocol', file: 'policy/sets.ts', search: 'const port = resolvePort(pod, set.protocol, set.port)', replace: 'const port = pod.ports.find((p) => p.name === set.port)?.port ?? null', caughtBy: 'policy' },
  { title: 'rule 37: pods share a profile whatever their named ports are', file: 'policy/isolation.ts', search: "...[...ports].map(([name, number]) => `${name}=${number}`).sort()", replace: '', caughtBy: 'policy' },
  { title: 'rule 38: a named port is looked up without its protocol', file: 'policy/isolation.ts', search: 'return `${name}/${protocol}`', replace: 'return protocol === name ? protocol : name', caughtBy: 'policy' },
  { title: 'rule 40: of two ports with one name, the last counts', file: 'model/policy.ts', search: 'pod.ports.find(', replace: 'pod.ports.findLast(', caughtBy: 'policy' },
  { title: 'rule 41: ports of every init container count', file: 'decode/pod.ts', search: "own(container, 'restartPolicy') === 'Always'", replace: 'container !== null', caughtBy: 'policy' },
  { title: 'rule 44: ingress rules look at the destination', file: 'ruleset/policies.ts', search: "const side = direction === 'ingress' ? 'saddr' : 'daddr'", replace: "const side = direction === 'ingress' ? 'daddr' : 'daddr'", caughtBy: 'policy' },
  { title: 'rule 46: except is not read', file: 'policy/cidrs.ts', search: 'peer.except.filter((e) => e.family === family)', replace: '[]', caughtBy: 'policy' },
  { title: 'rule 50: the second family is forgotten', file: 'ruleset/policies.ts', search: 'FAMILIES.flatMap((family) => {\n      const address', replace: 'FAMILIES.slice(0, 1).flatMap((family) => {\n      const address', caughtBy: 'policy' },
  { title: 'rule 52: neighbouring and nested ranges are not merged', file: 'policy/cidrs.ts', search: 'range.first <= open.last + 1n', replace: 'range.first < open.first', caughtBy: 'policy' },
  { title: 'rule 62: a pod cannot reach itself', file: 'ruleset/skeleton.ts', search: '@${self(f)} accept`', replace: '@${self(f)} continue`', caughtBy: 'policy' },
  { title: 'rule 72: replies are judged', file: 'ruleset/skeleton.ts', search: "    'ct direction reply accept',\n", replace: '', caughtBy: 'policy' },
  { title: 'rule 75: everything that conntrack calls related passes', file: 'ruleset/skeleton.ts', search: "'meta l4proto { icmp, icmpv6 } jump settled-icmp',", replace: "'ct state related accept', 'meta l4proto { icmp, icmpv6 } jump settled-icmp',", caughtBy: 'policy' },
  { title: 'rule 78: an established connection is not judged again', file: 'ruleset/skeleton.ts', search: "options.establishedConnections === 'keep'", replace: "options.establishedConnections !== 'keep'", caughtBy: 'policy' },
  { title: 'rule 87: what a pod sends is taken for its own', file: 'ruleset/skeleton.ts', search: "'goto not-as-itself',", replace: '', caughtBy: 'policy' },
  { title: 'rule 90: an unknown interface is let in', file: 'ruleset/skeleton.ts', search: '...kinds(\'iif\').map', replace: '...[].map', caughtBy: 'policy' },
  { title: 'rule 88: a rule without ports opens TCP, UDP and SCTP only', file: 'ruleset/policies.ts', search: "if (port === undefined) return ''", replace: "if (port === undefined) return 'meta l4proto { tcp, udp, sctp } '", caughtBy: 'policy' },
  { title: 'rule 93: a finished pod keeps its address', file: 'decode/pod.ts', search: "phase === 'Succeeded' || phase === 'Failed'", replace: "phase === 'Succeeded'", caughtBy: 'policy' },
  { title: 'rule 94: of two pods with one address, the older has it', file: 'store/claims.ts', search: 'b.createdAt - a.createdAt', replace: 'a.createdAt - b.createdAt', caughtBy: 'policy' },
  { title: 'rule 96: a terminating pod is nobody', file: 'model/policy.ts', search: '!pod.hostNetwork && !pod.finished', replace: '!pod.hostNetwork && !pod.finished && !pod.terminating', caughtBy: 'policy' },
  { title: 'rule 27: a pod that leaves a selector stays in its set', file: 'policy/sets.ts', search: 'removed.push(...old.filter((m) => !now.some((n) => sameMember(m, n))))', replace: '', caughtBy: 'transitions' },
  { title: 'rule 27: an edited policy does not reach its profile', file: 'policy/step.ts', search: 'this.profiles.rebuild(delta, snapshot)', replace: '', caughtBy: 'transitions' },
]
