// Planted bugs of the Service NAT: who serves whom, what is masqueraded, numbers, indexes, and who holds an address.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const SERVICE_MUTANTS: readonly Mutant[] = [
  { title: 'service: ending endpoints serve beside ready ones', file: 'nat/endpoints.ts', search: 'return ready.length > 0 ? ready : all.filter(isEnding)', replace: 'return [...ready, ...all.filter(isEnding)]', caughtBy: 'services' },
  { title: 'service: endpoints that are not ready serve where none is', file: 'nat/endpoints.ts', search: 'return !ready && serving && terminating', replace: 'return !ready && serving', caughtBy: 'services' },
  { title: 'service: hints count though an endpoint has none', file: 'nat/endpoints.ts', search: "(hintsOf(endpoint) ?? []).length > 0)", replace: '(hintsOf(endpoint) ?? [us]).length > 0)', caughtBy: 'services' },
  { title: 'service: hints leave nobody where none is for us', file: 'nat/endpoints.ts', search: 'return ours.length > 0 ? ours : null', replace: 'return ours', caughtBy: 'services' },
  { title: 'service: zone hints come before node hints', file: 'nat/endpoints.ts', search: 'return forUs(ready, ({ nodeHints }) => nodeHints, node) ?? forUs(ready, ({ zoneHints }) => zoneHints, zone) ?? ready', replace: 'return forUs(ready, ({ zoneHints }) => zoneHints, zone) ?? forUs(ready, ({ nodeHints }) => nodeHints, node) ?? ready', caughtBy: 'services' },
  { title: 'service: an endpoint of no node is local', file: 'nat/endpoints.ts', search: 'node !== null && node === where.node', replace: 'node === null || node === where.node', caughtBy: 'services' },
  { title: 'service: no endpoint here is rejected', file: 'nat/compile.ts', search: "return set.hasAny ? 'drop' : 'reject'", replace: "return 'reject'", caughtBy: 'services' },
  { title: 'service: pods see policy Local of external addresses', file: 'nat/compile.ts', search: "client === 'outside' ? 'local' : 'cluster'", replace: "client !== 'node' ? 'local' : 'cluster'", caughtBy: 'services' },
  { title: 'service: a ClusterIP masquerades pods', file: 'nat/compile.ts', search: "masquerade: client !== 'pod' || masqueradeAll }", replace: 'masquerade: true }', caughtBy: 'services' },
  { title: 'service: policy Local masquerades what comes from outside', file: 'nat/compile.ts', search: "masquerade: client === 'node' || masqueradeAll }", replace: "masquerade: client !== 'pod' || masqueradeAll }", caughtBy: 'services' },
  { title: 'service: node ports are taken by any Service', file: 'nat/step.ts', search: 'return holder === null || holder.uid === uid ? null : holder.title', replace: 'return null', caughtBy: 'services' },
  { title: 'service: the youngest claim wins', file: 'nat/claims.ts', search: 'a.createdAt - b.createdAt || byText', replace: 'b.createdAt - a.createdAt || byText', caughtBy: 'services' },
  { title: 'service: whoever waits for an address is not told', file: 'nat/claims.ts', search: 'for (const one of left) moved.add(one.uid)', replace: '', caughtBy: 'services' },
  { title: 'service: of two slices the last one counts', file: 'nat/merged.ts', search: 'known === undefined || isBetter(endpoint, known)', replace: 'true', caughtBy: 'services' },
  { title: 'service: another zone of the node changes nothing', file: 'nat/node-facts.ts', search: 'const same = zone === this.#where.zone && ', replace: 'const same = ', caughtBy: 'services' },
  { title: 'service: an index stays behind a shorter list', file: 'ruleset/services.ts', search: 'if (!stays.has(placeText(placed)))', replace: "if (!stays.has(placeText(placed)) && !placed[0].startsWith('endpoints-tcp'))", caughtBy: 'services' },
  { title: 'service: a chain of a length that is gone stays', file: 'ruleset/services.ts', search: '    this.#table.removeChain(endpointsChainName(size))', replace: '', caughtBy: 'services' },
  { title: 'service: slices of a Service that is gone are its successor\'s', file: 'store/store.ts', search: 'service === null ? [] : [serviceKey(namespace, service)]', replace: "[serviceKey(namespace, service ?? 's1')]", caughtBy: 'services' },
  { title: 'service: a number is given out again at once', file: 'nat/lists.ts', search: 'const id = ((this.#last + step - 1) % this.#most) + 1', replace: 'const id = step', caughtBy: 'lists' },
  { title: 'service: clients stay with an endpoint that left', file: 'agent/remembered-clients.ts', search: 'if (losesAny(list, this.#lists.get(list.id)))', replace: 'if (this.#lists.get(list.id) === undefined)', caughtBy: 'affinity' },
  { title: 'service: clients are gone through before the kernel holds who left', file: 'agent/remembered-clients.ts', search: 'isHeld: false, passes: 0', replace: 'isHeld: true, passes: 0', caughtBy: 'clients' },
  { title: 'service: clients are gone through once', file: 'agent/remembered-clients.ts', search: 'const PASSES = 2', replace: 'const PASSES = 1', caughtBy: 'clients' },
  { title: 'service: a start leaves the clients that others left', file: 'agent/remembered-clients.ts', search: 'for (const id of [EVERY, ...this.#options.plan.withClients])', replace: 'for (const id of this.#options.plan.withClients)', caughtBy: 'clients' },
  { title: 'service: a number rests for ever', file: 'agent/remembered-clients.ts', search: 'if (id !== EVERY && !this.#lists.has(id)) over.push(id)', replace: '', caughtBy: 'clients' },
  { title: 'service: all clients move when an endpoint leaves', file: 'nat/step.ts', search: 'const id = this.#ids.take(key, () => remembered)', replace: 'if (before !== undefined && before.slots[4].length > targets[4].length) this.#ids.giveBack(key)\n    const id = this.#ids.take(key, () => remembered)', caughtBy: 'affinity' },
  { title: 'service: a number rests only where clients stay to the end', file: 'nat/step.ts', search: 'if (affinity !== null) this.#ids.stays(id)', replace: 'if (affinity !== null) this.#ids.stays(id)\n    else this.#ids.wake([id])', caughtBy: 'stays' },
  { title: 'service: a number that an earlier agent left clients under is given out', file: 'ruleset/service-memory.ts', search: 'clients: readClients(state, layout)', replace: 'clients: new Set()', caughtBy: 'stays' },
  { title: 'service: clients of lists that nobody asks for are forgotten', file: 'kernel/client-sweep.ts', search: 'marks === null || marks.has(', replace: 'marks === null || !Number.isNaN(', caughtBy: 'clientSweep' },
  { title: 'service: another port of an endpoint is its port', file: 'kernel/client-sweep.ts', search: 'const isValid = port === undefined ? addresses.has(address)', replace: 'const isValid = port !== null ? addresses.has(address)', caughtBy: 'clientSweep' },
  { title: 'service: a number that rests is given out', file: 'nat/lists.ts', search: 'if (this.#owners.has(id) || this.#clients.has(id)) continue', replace: 'if (this.#owners.has(id)) continue', caughtBy: 'lists' },
  { title: 'service: every endpoint moves when one goes', file: 'nat/lists.ts', search: 'if (old === undefined || !open.delete(targetKey(old))) return null', replace: 'if (old === undefined || old !== null) return null', caughtBy: 'lists' },
  { title: 'service: two lengths have one code', file: 'nat/sizes.ts', search: 'size <= this.#most && !this.#taken.has(size) ? size', replace: 'size <= this.#most ? size', caughtBy: 'lists' },
]
