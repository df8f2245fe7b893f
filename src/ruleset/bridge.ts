// Attachments of pods on a bridge, and its ports -> the second table, `bridge picket`: what a pod's port may send at all.
//
//   bridge prerouting, -300   filter-prerouting-pins   from a pod's port: its MAC and addresses only (rule 87);
//                                                      from any other port: nobody's that is pinned
//
// In inet, pods on a bridge are told apart by their address alone: here is what makes that address true. conntrack is never
// asked: it would see each packet twice.
// A port that leads to another namespace is pinned whether a pod is known there or not, as soon as the kernel told what is
// behind it: else a new pod could send as one that is on another node, or gone.
// **Invariant:** a port is in `ports` exactly while an address is pinned to it; what is no IP and no ARP is left alone.
import type { Change } from '../model/changes.ts'
import { FAMILIES, familyOf, toBits, type Address, type Cidr, type Family } from '../model/ip.ts'
import { podOwner, type Owner } from '../model/owner.ts'
import { shortHash } from '../lib/hash.ts'
import type { Chain, NftMap, NftSet, Table } from '../nft/objects.ts'
import { emptyTable, type TableState } from '../nft/state.ts'
import type { Attachment, BridgePort, PortBehind } from '../policy/plan.ts'
import { TABLE_NAME } from './names.ts'
import { prefixKeys, quoted } from './pods.ts'
import { WantedTable } from './wanted.ts'
import { addressWord } from './words.ts'

export const BRIDGE_TABLE: Table = {
  family: 'bridge',
  name: TABLE_NAME,
  comment: 'Picket: what pods on a bridge may send as; made by the agent, do not edit',
}

interface Pin {
  readonly port: BridgePort
  readonly address: Address
  readonly owner: Owner | null
  /** Of its pod. */
  readonly prefixes: readonly Cidr[]
}

type PinElement = readonly [set: string, key: string, value?: string]

/** The wanted table, kept by what attachments and ports say. */
export class BridgePins {
  readonly wanted = new WantedTable(bridgeSkeleton())
  /** Those of pods: by name of the port, then by address. */
  readonly #pins = new Map<string, Map<Address, Pin>>()
  /** By name. */
  readonly #ports = new Map<string, PortBehind>()
  readonly #written = new Map<string, readonly PinElement[]>()
  /** Those that lead to a pod. */
  #bridges: ReadonlySet<string> = new Set()

  /** How many ports are a pod's. */
  get size(): number {
    return this.#pins.size
  }

  /** All of a turn's changes at once; returns the pods' ports that were not theirs before. */
  change(attachments: Iterable<Change<Attachment>>, ports: Iterable<Change<PortBehind>> = []): readonly BridgePort[] {
    const [pods, ends] = [[...attachments], [...ports]]
    const before = new Map([...this.#pins].map(([name, behind]) => [name, portOf(behind)?.index]))
    const touched = new Set<string>()
    for (const change of pods) for (const pin of pinsOf(change.before)) this.#remove(pin, touched)
    for (const change of pods) for (const pin of pinsOf(change.after)) this.#add(pin, touched)
    for (const end of ends) if (end.before !== null) this.#ports.delete(end.before.name)
    for (const end of ends) if (end.after !== null) this.#ports.set(end.after.name, end.after)
    for (const end of ends) for (const port of [end.before, end.after]) if (port !== null) touched.add(port.name)
    this.#findBridges(touched)
    this.#write(touched)
    // Names are used again: the index tells a new port.
    return [...touched].flatMap((name) => {
      const port = portOf(this.#pins.get(name))
      return port === undefined || before.get(name) === port.index ? [] : [port]
    })
  }

  #remove({ port, address }: Pin, touched: Set<string>): void {
    const behind = this.#pins.get(port.name)
    if (behind?.delete(address) !== true) return
    touched.add(port.name)
    if (behind.size === 0) this.#pins.delete(port.name)
  }

  #add(pin: Pin, touched: Set<string>): void {
    const { port, address } = pin
    touched.add(port.name)
    const behind = this.#pins.get(port.name)
    if (behind === undefined) this.#pins.set(port.name, new Map([[address, pin]]))
    else behind.set(address, pin)
  }

  #findBridges(touched: Set<string>): void {
    const bridges = new Set([...this.#pins.values()].flatMap((behind) => portOf(behind)?.bridge ?? []))
    for (const { name, bridge } of this.#ports.values()) if (bridges.has(bridge) !== this.#bridges.has(bridge)) touched.add(name)
    this.#bridges = bridges
  }

  /** A pod's port may send what is the pod's; on a bridge that has pods any other one what the kernel says is behind it. */
  #pinsAt(name: string): readonly Pin[] {
    const port = this.#ports.get(name)
    const ofPods = this.#pins.get(name)
    if (ofPods !== undefined || port === undefined || !this.#bridges.has(port.bridge)) return [...(ofPods?.values() ?? [])]
    return port.addresses.map((address) => ({ port, address, owner: null, prefixes: [] }))
  }

  /** What goes first: an address or a MAC may come back at another port. */
  #write(names: ReadonlySet<string>): void {
    const wanted = [...names].map((name) => [name, this.#pinsAt(name)] as const)
    for (const name of names) for (const [set, key] of this.#written.get(name) ?? []) this.wanted.removeElement(set, key)
    for (const [name, pins] of wanted) {
      const owners = pins.flatMap((pin) => pin.owner ?? [])
      const elements = elementsOf(name, pins)
      for (const [set, key, value] of elements) this.wanted.addElement(set, value === undefined ? { key } : { key, value }, owners)
      if (elements.length === 0) this.#written.delete(name)
      else this.#written.set(name, elements)
      this.#advertChain(name, pins, owners)
    }
  }

  /** Targets of advertisements as they stand in the packet: nft 1.0.6 has no word for them. */
  #advertChain(name: string, pins: readonly Pin[], owners: readonly Owner[]): void {
    const chain = advertChain(name)
    if (pins.length === 0) return this.wanted.removeChain(chain)
    const targets = pins.flatMap(({ address }) => (familyOf(address) === 6 ? [`@th,64,128 0x${toBits(address).toString(16)} accept`] : []))
    this.wanted.putChain({ kind: 'chain', name: chain, comment: 'whom this port may advertise', rules: targets.sort() }, owners)
  }
}

function portOf(behind: ReadonlyMap<Address, Pin> | undefined): BridgePort | undefined {
  return [...(behind?.values() ?? [])][0]?.port
}

function pinsOf(pod: Attachment | null): Pin[] {
  if (pod === null) return []
  const owner = podOwner(pod.namespace, pod.name)
  const prefixes = pod.closed ? [] : pod.sourcePrefixes
  return pod.by.flatMap((key) => (key.via === 'address' && key.port !== null ? [{ port: key.port, address: key.address, owner, prefixes }] : []))
}

function advertChain(port: string): string {
  return `adverts/${/^[A-Za-z0-9._-]+$/.test(port) ? port : `x${shortHash(port, 16)}`}`
}

function elementsOf(name: string, pins: readonly Pin[]): readonly PinElement[] {
  const mac = pins[0]?.port.mac
  if (mac === undefined) return []
  const port = quoted(name)
  const addresses = pins.flatMap(({ address }): PinElement[] => {
    const family = familyOf(address)
    return [[`pins-v${family}`, `${port} . ${address}`], [`pinned-v${family}`, address]]
  })
  // Of all pods behind the port at once: the kernel takes no prefix inside of another.
  const prefixes = prefixKeys(name, pins.flatMap((pin) => pin.prefixes)).map(({ family, key }): PinElement => [`pin-prefixes-v${family}`, key])
  return [['ports', port], ['port-macs', `${port} . ${mac}`], ['macs', mac], ['adverts', port, `jump ${advertChain(name)}`], ...addresses, ...prefixes]
}

function bridgeSkeleton(): TableState {
  const state = emptyTable()
  for (const object of objects()) state.sets.set(object.name, { object, elements: new Map() })
  state.counters.set('spoofed', { kind: 'counter', name: 'spoofed', comment: 'frames that are not from whom they say' })
  for (const chain of CHAINS) state.chains.set(chain.name, chain)
  return state
}

function objects(): (NftSet | NftMap)[] {
  const set = (name: string, key: readonly string[], comment: string, flags: NftSet['flags'] = []): NftSet => ({ kind: 'set', name, key, flags, comment })
  return [
    set('ports', ['iifname'], 'bridge ports that lead to another namespace'),
    set('port-macs', ['iifname', 'ether saddr'], 'each port and the MAC behind it'),
    set('macs', ['ether saddr'], 'the same MACs'),
    ...FAMILIES.flatMap((family) => {
      const word = addressWord(family)
      return [
        set(`pins-v${family}`, ['iifname', `${word} saddr`], 'each port and the addresses behind it'),
        set(`pinned-v${family}`, [`${word} saddr`], 'the same addresses'),
        set(`pin-prefixes-v${family}`, ['iifname', `${word} saddr`], 'each port and what may be sent from there besides', ['interval']),
      ]
    }),
    { kind: 'map', name: 'adverts', key: ['iifname'], data: ['verdict'], flags: [], comment: 'port : whom it may advertise' },
  ]
}

const SPOOFED = 'counter name "spoofed" drop'

/** A prefix covers no address of another pod here: those tell pods apart. */
function prefixRules(family: Family): readonly string[] {
  const source = `${addressWord(family)} saddr`
  return [`${source} @pinned-v${family} ${SPOOFED}`, `iifname . ${source} @pin-prefixes-v${family} accept`, SPOOFED]
}

const CHAINS: readonly Chain[] = [
  {
    kind: 'chain',
    name: 'filter-prerouting-pins',
    base: { type: 'filter', hook: 'prerouting', priority: 'dstnat', policy: 'accept' },
    rules: [
      'iifname @ports goto from-pod',
      `ether saddr @macs ${SPOOFED}`,
      ...FAMILIES.map((f) => `${addressWord(f)} saddr @pinned-v${f} ${SPOOFED}`),
      `arp saddr ip @pinned-v4 ${SPOOFED}`,
    ],
  },
  {
    kind: 'chain',
    name: 'from-pod',
    comment: 'a port that leads to another namespace',
    rules: [
      `iifname . ether saddr != @port-macs ${SPOOFED}`,
      // br_netfilter shows inet no tagged frame, and a pod takes one with VLAN 0 for untagged.
      `ether type { 8021q, 8021ad } ${SPOOFED}`,
      'ether type ip goto from-pod-v4',
      'ether type ip6 goto from-pod-v6',
      'ether type arp goto from-pod-arp',
    ],
  },
  {
    kind: 'chain',
    name: 'from-pod-v4',
    rules: ['iifname . ip saddr @pins-v4 accept', 'ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept', ...prefixRules(4)],
  },
  {
    kind: 'chain',
    name: 'from-pod-arp',
    comment: 'nobody but the pod itself; 0.0.0.0 asks whether an address is free',
    rules: [
      `iifname . arp saddr ether != @port-macs ${SPOOFED}`,
      'iifname . arp saddr ip @pins-v4 accept',
      'arp operation request arp saddr ip 0.0.0.0 accept',
      SPOOFED,
    ],
  },
  {
    kind: 'chain',
    name: 'from-pod-v6',
    rules: [
      'icmpv6 type nd-neighbor-advert goto advert',
      'iifname . ip6 saddr @pins-v6 accept',
      'ip6 saddr fe80::/10 goto link-local',
      'ip6 saddr :: goto link-local',
      ...prefixRules(6),
    ],
  },
  {
    kind: 'chain',
    name: 'link-local',
    comment: 'neighbour discovery and multicast listeners',
    rules: [
      'ip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-neighbor-solicit } accept',
      'ip6 hoplimit 1 icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } accept',
      SPOOFED,
    ],
  },
  {
    kind: 'chain',
    name: 'advert',
    comment: 'a pod advertises itself only',
    rules: [
      'iifname . ip6 saddr @pins-v6 jump advert-target',
      'ip6 saddr fe80::/10 jump advert-target',
      SPOOFED,
    ],
  },
  {
    kind: 'chain',
    name: 'advert-target',
    rules: ['@th,64,128 & 0xffc00000000000000000000000000000 == 0xfe800000000000000000000000000000 accept', 'iifname vmap @adverts'],
  },
]
