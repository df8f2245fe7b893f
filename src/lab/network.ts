// The lab's links and routes as they stand: hosts on the underlay, pods behind nodes, and who holds which address.
//
// It runs the lines of layout.ts in the namespaces that they are for, in parallel, and knows nothing of servers or probes.
// **Invariant:** every host of the underlay routes an address to the pod that took it last; removing an earlier holder
// takes nothing away from it.
import type { Address } from '../model/ip.ts'
import { IpBatch, type IpLine } from './ip-batch.ts'
import { bridgedAttachLines, bridgedForgetLines, bridgedPodLines, forgetPeerLines, peerLines, podBridgeLines, portVethLines } from './layout-bridge.ts'
import {
  type Attachment, attachLines, forgetLines, hostLines, neighbourLines, OUTSIDE, podLines, portLines, portName, remoteLines, underlayAddresses, type UnderlayHost, underlayLines,
  uplinkLines, vethLines, viaNodeLines,
} from './layout.ts'
import type { PodAttachment } from './testbed.ts'

interface Joined {
  readonly place: UnderlayHost
  readonly ip: IpBatch
}

export class LabNetwork {
  /** Of the machine's own namespace: it makes and deletes the others. */
  readonly #root = new IpBatch(null)
  readonly #underlay: string
  readonly #inUnderlay: IpBatch
  readonly #bridged: boolean
  readonly #hosts = new Map<number, Joined>()
  readonly #attached = new Set<Attachment>()
  /** Pods on bridges that are told of the others of their node. */
  readonly #peers = new Map<Attachment, IpBatch>()
  readonly #holders = new Map<Address, Attachment>()
  /** Addresses that nobody has, and where the outside host sends what is for them. */
  #routedOutside: ReadonlyMap<Address, UnderlayHost> = new Map()

  /** `underlay`: name of the namespace of the bridge; open() makes it. */
  constructor(underlay: string, attachment: PodAttachment) {
    this.#underlay = underlay
    this.#bridged = attachment === 'bridge'
    this.#inUnderlay = new IpBatch(underlay)
  }

  async open(): Promise<void> {
    await this.#makeNamespace(this.#underlay)
    await this.#inUnderlay.run(underlayLines())
  }

  /** Makes the namespace of a node or of the outside host, `more` addresses of its own, and tells all others. */
  async join(place: UnderlayHost, more: readonly Address[]): Promise<void> {
    await this.#makeNamespace(place.netns)
    await this.#inUnderlay.run([...uplinkLines(place, this.#underlay), ...portLines(place)])
    const others = [...this.#hosts.values()]
    const joined = { place, ip: new IpBatch(place.netns) }
    this.#hosts.set(place.position, joined)
    const routes = [...this.#attached].flatMap((pod) => remoteLines({ ...pod, addresses: this.#heldBy(pod) }))
    await Promise.all([
      joined.ip.run([...hostLines(place, more), ...(this.#bridged && place.position !== OUTSIDE ? podBridgeLines(place) : []), ...others.flatMap((other) => neighbourLines(other.place)), ...routes]),
      ...others.map((other) => other.ip.run(neighbourLines(place))),
    ])
  }

  /** Its pods must have been detached. */
  async leave(place: UnderlayHost): Promise<void> {
    this.#hosts.delete(place.position)
    await this.#inUnderlay.run([{ kind: 'delete-link', name: portName(place) }])
    await this.#deleteNamespaces([place.netns])
  }

  /** Makes the pod's namespace, veth, addresses and routes; where this fails, nothing of it is left. */
  async attach(pod: Attachment): Promise<void> {
    await this.#makeNamespace(pod.netns)
    try {
      this.#attached.add(pod)
      const moved = this.#movedFromElsewhere(pod)
      for (const address of pod.addresses) this.#holders.set(address, pod)
      await this.#inUnderlay.run(this.#bridged ? portVethLines(pod) : vethLines(pod))
      const inPod = new IpBatch(pod.netns)
      await Promise.all([
        inPod.run(this.#bridged ? bridgedPodLines(pod) : podLines(pod)),
        ...this.#everywhere(pod, this.#bridged ? bridgedAttachLines(pod) : attachLines(pod), remoteLines(pod)),
        ...moved.flatMap(({ node, address }) => this.#tellPeers(node, () => forgetPeerLines([address]))),
      ])
      if (this.#bridged) await this.#introduce(pod, inPod)
    } catch (error) {
      await this.detach(pod)
      throw error
    }
  }

  /** What is for these addresses goes from the outside host to those nodes; addresses that hosts have are left out. */
  async routeOutside(routes: ReadonlyMap<Address, UnderlayHost>): Promise<void> {
    const hosts = [...this.#hosts.keys()].flatMap(underlayAddresses)
    const wanted = new Map([...routes].filter(([address]) => !hosts.includes(address) && !this.#holders.has(address)))
    const gone = [...this.#routedOutside.keys()].filter((address) => !wanted.has(address) && !this.#holders.has(address))
    const moved = [...wanted].filter(([address, node]) => this.#routedOutside.get(address)?.position !== node.position)
    this.#routedOutside = wanted
    await this.#hosts.get(OUTSIDE)?.ip.run([...forgetLines(gone), ...moved.flatMap(([address, node]) => viaNodeLines(node, [address]))])
  }

  async detach(pod: Attachment): Promise<void> {
    const held = this.#heldBy(pod)
    this.#attached.delete(pod)
    this.#peers.delete(pod)
    for (const address of held) this.#holders.delete(address)
    const onNode: readonly IpLine[] = [{ kind: 'delete-link', name: pod.veth }, ...(this.#bridged ? bridgedForgetLines(held) : [])]
    await Promise.all([
      ...this.#everywhere(pod, onNode, forgetLines(held)),
      ...this.#tellPeers(pod.node, () => forgetPeerLines(held)),
    ])
    await this.#deleteNamespaces([pod.netns])
  }

  /** Whichever of two pods comes later tells both of each other, so that neither is told before its link is up. */
  async #introduce(pod: Attachment, inPod: IpBatch): Promise<void> {
    const others = [...this.#peers.keys()].filter((other) => other.node.position === pod.node.position)
    const told = this.#tellPeers(pod.node, (other) => peerLines(other, this.#heldBy(pod)))
    this.#peers.set(pod, inPod)
    await Promise.all([inPod.run(others.flatMap((other) => peerLines(pod, this.#heldBy(other)))), ...told])
  }

  /** Runs lines in the pods of a node's bridge. One that is being removed may be gone by then. */
  #tellPeers(node: UnderlayHost, linesFor: (other: Attachment) => readonly IpLine[]): readonly Promise<void>[] {
    return [...this.#peers].filter(([other]) => other.node.position === node.position).map(([other, ip]) =>
      ip.run(linesFor(other)).catch((error: unknown) => {
        if (this.#peers.has(other)) throw error
      }))
  }

  /** Addresses that a pod of another node holds until now. */
  #movedFromElsewhere(pod: Attachment): readonly { readonly node: UnderlayHost; readonly address: Address }[] {
    return pod.addresses.flatMap((address) => {
      const holder = this.#holders.get(address)
      return holder === undefined || holder.node.position === pod.node.position ? [] : [{ node: holder.node, address }]
    })
  }

  #heldBy(pod: Attachment): readonly Address[] {
    return pod.addresses.filter((address) => this.#holders.get(address) === pod)
  }

  /** Runs lines on the pod's node, and others on all other hosts of the underlay. */
  #everywhere(pod: Attachment, onNode: readonly IpLine[], onOthers: readonly IpLine[]): readonly Promise<void>[] {
    return [...this.#hosts.values()].map(({ place, ip }) => ip.run(place.position === pod.node.position ? onNode : onOthers))
  }

  #makeNamespace(name: string): Promise<void> {
    return this.#root.run([{ kind: 'run', text: `netns add ${name}` }])
  }

  #deleteNamespaces(names: readonly string[]): Promise<void> {
    return this.#root.run(names.map((name) => ({ kind: 'run', text: `netns delete ${name}`, mayFail: true })))
  }
}
