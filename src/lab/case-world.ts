// What exists at a moment of a case: the objects that an API server would hold after the actions so far.
//
// (world, action) -> world; cases.ts uses it to check a case before anything starts, run-cases.ts to know what to write
// next. **Invariant:** an object that is deleted and created again has another UID; nothing else changes a UID.
import { familyOf, fromBits, hostCidr, toBits, type Address, type Family, FAMILIES } from '../model/ip.ts'
import { PROTOCOLS } from '../model/objects.ts'
import type { JsonObject } from './case-fields.ts'
import type { Action, CasePod, CasePort, CaseStart, LabelMap } from './case-types.ts'

export interface WorldPod {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly labels: LabelMap
  readonly addresses: readonly Address[]
  readonly ports: readonly CasePort[]
}

export interface WorldNamespace {
  readonly uid: string
  readonly labels: LabelMap
}

export interface WorldPolicy {
  readonly uid: string
  readonly namespace: string
  readonly generation: number
  readonly manifest: JsonObject
}

export interface World {
  readonly namespaces: ReadonlyMap<string, WorldNamespace>
  /** By `namespace/name`, in the order of creation. */
  readonly pods: ReadonlyMap<string, WorldPod>
  readonly policies: ReadonlyMap<string, WorldPolicy>
  /** Makes a UID that was never used. */
  readonly newUid: () => string
}

/** An action cannot be done: what it names is not there, or is there already. */
export class UnknownObject extends Error {}

/** What every pod serves if no pod of the case says anything: 8080 and 9090, as in the case files. */
const DEFAULT_PORTS: readonly CasePort[] = [['main', 8080] as const, ['aux', 9090] as const].flatMap(([name, port]) =>
  PROTOCOLS.map((protocol) => ({ name: `${name}-${protocol.toLowerCase()}`, port, protocol })),
)
const DEFAULT_ADDRESS: Readonly<Record<Family, Address>> = { 4: '10.88.1.0', 6: 'fd00:88:1::' }
/** First host number that is given to a pod without addresses. */
const FIRST_FREE = 10n

/** The cluster before step 0. Namespaces and pods that `previous` has in the same form keep their UIDs. Throws UnknownObject. */
export function worldOf(start: CaseStart, newUid: () => string, previous: World | null = null): World {
  const namespaces = new Map<string, WorldNamespace>()
  for (const [name, labels] of start.namespaces) {
    namespaces.set(name, { uid: previous?.namespaces.get(name)?.uid ?? newUid(), labels: withNameLabel(name, labels) })
  }
  let world: World = { namespaces, pods: new Map(), policies: new Map(), newUid }
  // Those with addresses of their own come first, so that free ones are free.
  const order = [...start.pods].sort((a, b) => Number(a.addresses === null) - Number(b.addresses === null))
  for (const pod of order) world = addPod(world, pod, start, previous)
  const pods = new Map<string, WorldPod>()
  for (const { namespace, name } of start.pods) pods.set(`${namespace}/${name}`, world.pods.get(`${namespace}/${name}`) as WorldPod)
  return { ...world, pods }
}

/** Throws UnknownObject; `world` is left as it was. */
export function applyAction(world: World, action: Action, start: CaseStart): World {
  switch (action.kind) {
    case 'createPolicy':
    case 'updatePolicy':
      return setPolicy(world, action)
    case 'deletePolicy':
      return { ...world, policies: without(world.policies, `${action.namespace}/${action.name}`, 'policy') }
    case 'createPod':
      return addPod(world, action.pod, start, null)
    case 'deletePod':
      return { ...world, pods: without(world.pods, `${action.namespace}/${action.name}`, 'pod') }
    case 'setPodLabels': {
      const pod = present(world.pods, `${action.namespace}/${action.name}`, 'pod')
      return { ...world, pods: new Map(world.pods).set(`${action.namespace}/${action.name}`, { ...pod, labels: action.labels }) }
    }
    case 'createNamespace': {
      if (world.namespaces.has(action.namespace)) throw new UnknownObject(`expected a new namespace, but ${action.namespace} exists`)
      return withNamespace(world, action.namespace, { uid: world.newUid(), labels: action.labels })
    }
    case 'setNamespaceLabels':
      return withNamespace(world, action.namespace, { ...present(world.namespaces, action.namespace, 'namespace'), labels: action.labels })
    case 'addNamespaceLabels': {
      const namespace = present(world.namespaces, action.namespace, 'namespace')
      return withNamespace(world, action.namespace, { ...namespace, labels: new Map([...namespace.labels, ...action.labels]) })
    }
    case 'deleteNamespace': {
      const elsewhere = <T extends { readonly namespace: string }>(of: ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
        new Map([...of].filter(([, one]) => one.namespace !== action.namespace))
      const namespaces = without(world.namespaces, action.namespace, 'namespace')
      return { ...world, namespaces, pods: elsewhere(world.pods), policies: elsewhere(world.policies) }
    }
  }
}

function setPolicy(world: World, action: Extract<Action, { readonly manifest: JsonObject }>): World {
  const { namespace, manifest } = action
  const key = `${namespace}/${action.name}`
  present(world.namespaces, namespace, 'namespace')
  if (action.kind === 'createPolicy') {
    if (world.policies.has(key)) throw new UnknownObject(`expected a new policy, but ${key} exists (updatePolicy changes one)`)
    return { ...world, policies: new Map(world.policies).set(key, { uid: world.newUid(), namespace, generation: 1, manifest }) }
  }
  const old = present(world.policies, key, 'policy')
  return { ...world, policies: new Map(world.policies).set(key, { ...old, generation: old.generation + 1, manifest }) }
}

function addPod(world: World, pod: CasePod, start: CaseStart, previous: World | null): World {
  const key = `${pod.namespace}/${pod.name}`
  present(world.namespaces, pod.namespace, 'namespace')
  if (world.pods.has(key)) throw new UnknownObject(`expected a new pod, but ${key} exists`)
  const addresses = pod.addresses ?? freeAddresses(world, pod, start)
  for (const [other, { addresses: taken }] of world.pods) {
    const shared = addresses.find((one) => taken.includes(one))
    if (shared !== undefined) throw new UnknownObject(`expected an address of its own for ${key}, but ${other} has ${shared}`)
  }
  const ports = pod.ports ?? modelFor(pod, start, (one) => one.ports !== null)?.ports ?? DEFAULT_PORTS
  const made = { namespace: pod.namespace, name: pod.name, labels: pod.labels, addresses, ports }
  const old = previous?.pods.get(key)
  const uid = old !== undefined && sameNetwork(old, made) ? old.uid : world.newUid()
  return { ...world, pods: new Map(world.pods).set(key, { ...made, uid }) }
}

function sameNetwork(a: Pick<WorldPod, 'addresses' | 'ports'>, b: Pick<WorldPod, 'addresses' | 'ports'>): boolean {
  return JSON.stringify([a.addresses, a.ports]) === JSON.stringify([b.addresses, b.ports])
}

/** The pod after which one that says less is made: the first of its namespace that has what is asked for, or the first of the case. */
function modelFor(pod: CasePod, start: CaseStart, has: (one: CasePod) => boolean): CasePod | undefined {
  return start.pods.find((one) => one.namespace === pod.namespace && has(one)) ?? start.pods.find(has)
}

/** One a family, in the /24 and /64 of the case's other pods, and in the families that they have. */
function freeAddresses(world: World, pod: CasePod, start: CaseStart): readonly Address[] {
  const model = modelFor(pod, start, (one) => one.addresses !== null)?.addresses ?? FAMILIES.map((family) => DEFAULT_ADDRESS[family])
  const taken = new Set([...world.pods.values()].flatMap((one) => one.addresses))
  return model.map((like) => {
    const family = familyOf(like)
    const size = family === 4 ? 256n : 1n << 64n
    const base = (toBits(like) / size) * size
    for (let host = FIRST_FREE; host < 255n; host++) {
      const address = fromBits(family, base + host)
      if (!taken.has(address)) return address
    }
    throw new UnknownObject(`no address is free around ${hostCidr(like).text}`)
  })
}

function withNamespace(world: World, name: string, namespace: WorldNamespace): World {
  return { ...world, namespaces: new Map(world.namespaces).set(name, { ...namespace, labels: withNameLabel(name, namespace.labels) }) }
}

/** The API server sets this label on every namespace (rule 21). */
export function withNameLabel(name: string, labels: LabelMap): LabelMap {
  return new Map([...labels, ['kubernetes.io/metadata.name', name]])
}

function present<T>(of: ReadonlyMap<string, T>, key: string, what: string): T {
  const found = of.get(key)
  if (found === undefined) throw new UnknownObject(`expected a ${what} that exists at this step, but there is no ${key}`)
  return found
}

function without<T>(of: ReadonlyMap<string, T>, key: string, what: string): ReadonlyMap<string, T> {
  present(of, key, what)
  return new Map([...of].filter(([one]) => one !== key))
}
