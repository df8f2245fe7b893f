// The lab's machinery as an interface: nodes, pods and an outside host in network namespaces, and probes between them.
//
// The cluster's side (what objects there are, cases, commands) builds on this and never touches a namespace itself.
// **Invariant:** a testbed owns every namespace whose name begins with its prefix, and nothing else; close() removes
// them all, and opening a testbed removes what a crashed one of the same prefix left behind.
import type { Address } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'

/** How pods are attached to their node: behind a veth each (layout.ts), or to its bridge `cni0` (layout-bridge.ts). */
export const POD_ATTACHMENTS = ['veth', 'bridge'] as const
export type PodAttachment = (typeof POD_ATTACHMENTS)[number]

export interface TestbedOptions {
  /** Begins the name of each namespace; ends with a dash (`picket-lab-`: `picket-lab-n1`). At most 20 characters. */
  readonly prefix: string
  /** Further addresses of the outside host, beside those of the underlay: whatever is unknown is routed there. */
  readonly outsideAddresses?: readonly Address[]
  /** `veth` unless told. */
  readonly attachment?: PodAttachment
  /** Told while it works, for progress: `node n1 is up`. */
  readonly onProgress?: (text: string) => void
}

/** A network namespace with an uplink on the underlay (a bridge in a namespace of its own), forwarding on. */
export interface LabNode {
  readonly name: string
  /** Path of its network namespace: `/run/netns/...`. */
  readonly netns: string
  /** Its underlay addresses, [IPv4, IPv6]. */
  readonly addresses: readonly Address[]
}

export interface PodSpec {
  /** `namespace/name`; unique. */
  readonly key: string
  /** Name of the node that it runs on. */
  readonly node: string
  readonly addresses: readonly Address[]
  /** Real servers, on every address of the pod. */
  readonly ports: readonly { readonly protocol: Protocol; readonly port: number }[]
}

/** Who probes: a pod by key, a node (its own namespace), or the outside host. */
export type ProbeSource = { readonly kind: 'pod'; readonly key: string } | { readonly kind: 'node'; readonly name: string } | { readonly kind: 'outside' }

export interface ProbeRequest {
  readonly from: ProbeSource
  readonly address: Address
  readonly protocol: Protocol
  readonly port: number
  /** The address to send from, and from a port of this probe's own; any unless told. */
  readonly source?: Address
}

export type ProbeResult =
  /**
   * A reply with this request's token came; `by` is the key of the pod (or name of the host) whose server made it,
   * `source` the address that the server saw the request come from, `at` where it was asked (`10.0.0.2:80`, `[fd00::2]:80`).
   */
  | { readonly kind: 'answered'; readonly by: string; readonly source: Address; readonly at: string; readonly ms: number }
  /** Nothing came before the deadline. */
  | { readonly kind: 'silent' }
  /** The path answered, but not with the token: connection refused, an ICMP error. `message` says which. */
  | { readonly kind: 'rejected'; readonly message: string }
  /** The probe could not be sent at all (no such source, no socket). */
  | { readonly kind: 'failed'; readonly message: string }

export interface Testbed {
  readonly nodes: readonly LabNode[]
  readonly outside: { readonly netns: string; readonly addresses: readonly Address[] }
  addNode(name: string): Promise<LabNode>
  removeNode(name: string): Promise<void>
  /** Makes the pod's namespace, veth, addresses and routes (on its node and, by way of it, on all others), starts its servers; resolves when they listen. */
  addPod(pod: PodSpec): Promise<void>
  removePod(key: string): Promise<void>
  /** The outside host sends what is for these addresses, which nobody has, to the nodes of those names; and for no others. */
  routeOutside(routes: ReadonlyMap<Address, string>): Promise<void>
  /** Path of the network namespace of a pod, a node or the outside host: for `lab exec`, whose terminal is not ours. Throws where there is none. */
  netnsOf(where: ProbeSource): string
  /** What the servers of every node and of the outside host listen on, on all their addresses: for control probes. */
  readonly hostPorts: readonly { readonly protocol: Protocol; readonly port: number }[]
  /** Name of the host side of the pod's veth, in its node's namespace. */
  hostInterface(key: string): string
  /**
   * Sends all at once; results in the order of the requests. `deadlineMs` counts from the last one sent. Lost packets
   * are sent again within it (TCP by the kernel, UDP and SCTP by the prober), so silence means denied, or a path that
   * is broken: whoever asks adds controls that must answer.
   */
  probe(requests: readonly ProbeRequest[], deadlineMs: number): Promise<readonly ProbeResult[]>
  /** Runs a command in a namespace (of a pod, a node or outside) with inherited stdio; its exit status. */
  exec(where: ProbeSource, command: readonly string[]): Promise<number>
  /** Starts a long-running process in a node's namespace (its agent). The testbed ends it with SIGTERM, then SIGKILL. */
  start(node: string, command: readonly string[], options: { readonly logFile: string; readonly env?: Readonly<Record<string, string>> }): Promise<LabProcess>
  /** Further servers, on all addresses of a pod, a node or the outside host; resolves when they listen. */
  serve(where: ProbeSource, ports: readonly { readonly protocol: Protocol; readonly port: number }[]): Promise<void>
  /**
   * A connection (TCP) or flow of datagrams (UDP) that goes on until it is stopped: numbered messages, each echoed by
   * the server. TCP: resolves when it is connected; rejects with a PicketError where it is not within 3 seconds. A
   * download resolves when its first message came, of either protocol, and rejects likewise.
   */
  openFlow(from: ProbeSource, address: Address, protocol: 'TCP' | 'UDP', port: number, options: FlowOptions): Promise<Flow>
  close(): Promise<void>
}

/** `echo`: each message is sent, and answered. `download`: one request, and the server sends from then on, at most 15 s over UDP. */
export type FlowDirection = 'echo' | 'download'

export interface FlowOptions {
  /** 1 to 10,000. */
  readonly packetsPerSecond: number
  /** `echo` unless told. */
  readonly direction?: FlowDirection
}

/** Of a download `sent` is what the server is known to have sent: up to the last number that came. */
export interface FlowStats {
  readonly sent: number
  /** Messages that were echoed; each counts once. */
  readonly answered: number
  /** Sent half a second ago or earlier and not answered yet; after stop() every one that was not answered. */
  readonly lost: number
  /** Echoes of messages that had been answered before. */
  readonly duplicated: number
  /** Milliseconds since 1970; null where nothing was answered yet. */
  readonly lastAnswerAt: number | null
  /** The longest time without an answer so far, the time since the last one included. */
  readonly longestGapMs: number
  /** Answers by the key of the pod (or name of the host) that made them. */
  readonly by: Readonly<Record<string, number>>
  /** Every run of messages, one after the other, that count as lost; in order. */
  readonly silences: readonly FlowSilence[]
  /** Why a TCP connection ended by itself (`ECONNRESET`); null while it lives. Never set for UDP. */
  readonly broken: string | null
}

/** Messages `first` to `last` (counted from 0) were not answered. Times are in milliseconds since 1970, with fractions. */
export interface FlowSilence {
  readonly first: number
  readonly last: number
  readonly firstSentAt: number
  readonly lastSentAt: number
  /** When the message after `last` was sent, which was answered; null where there is none yet. */
  readonly nextSentAt: number | null
}

export interface Flow {
  stats(): Promise<FlowStats>
  /** Sends no more, waits up to 250 ms for what is under way, closes; the final numbers. */
  stop(): Promise<FlowStats>
}

export interface LabProcess {
  readonly pid: number
  /** Resolves when it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>
  kill(signal: NodeJS.Signals): void
}
