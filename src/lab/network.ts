// The lab's links and routes as they stand: hosts on the underlay, pods behind nodes, and who holds which address.
//
// It runs the lines of layout.ts in the namespaces that they are for, in parallel, and knows nothing of servers or probes.
// **Invariant:** every host of the underlay routes an address to the pod that took it last; removing an earlier holder
// takes nothing away from it.
import type { Address } from '../model/ip.ts'
import { IpBatch, type IpLine } from './ip-batch.ts'
import {
  type Attachment, attachLines, forgetLines, hostLines, neighbourLines, podLines, portLines, portName, remoteLines, type UnderlayHost, underlayLines,
  uplinkLines, vethLines,
} from './layout.ts'

interface Joined {
  readonly place: UnderlayHost
  readonly ip: IpBatch
}

export class LabNetwork {
  /** Of the machine's own namespace: it makes and deletes the others. */
  readonly #root = new IpBatch(null)
  readonly #underlay: string
  readonly #inUnderlay: IpBatch
  readonly #hosts = new Map<number, Joined>()
  readonly #attached = new Set<Attachment>()
  readonly #holders = new Map<Address, Attachment>()

  /** `underlay`: name of the namespace of the bridge; open() makes it. */
  constructor(underlay: string) {
    this.#underlay = underlay
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
      joined.ip.run([...hostLines(place, more), ...others.flatMap((other) => neighbourLines(other.place)), ...routes]),
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
      for (const address of pod.addresses) this.#holders.set(address, pod)
      await this.#inUnderlay.run(vethLines(pod))
      await Promise.all([
        new IpBatch(pod.netns).run(podLines(pod)),
        ...this.#everywhere(pod, attachLines(pod), remoteLines(pod)),
      ])
    } catch (error) {
      await this.detach(pod)
      throw error
    }
  }

  async detach(pod: Attachment): Promise<void> {
    const held = this.#heldBy(pod)
    this.#attached.delete(pod)
    for (const address of held) this.#holders.delete(address)
    await Promise.all(this.#everywhere(pod, [{ kind: 'delete-link', name: pod.veth }], forgetLines(held)))
    await this.#deleteNamespaces([pod.netns])
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
