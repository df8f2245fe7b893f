// Judges all that the traffic tells: each packet by fate.ts, each connection by connections.ts, and keeps count.
//
// **Invariant:** an arrival is judged when it is told; a packet is taken for not arrived only when its receiver, had it
// come in time, would have told so; what cannot be told apart from an end that was replaced is left out.
import { judge, type OracleVerdict } from '../support/oracle.ts'
import type { RawCluster } from '../support/manifests.ts'
import { judgeConnection, type Connection } from './connections.ts'
import type { Told } from './end-program.ts'
import { CUT_MS, judgeFate, ON_ITS_WAY_MS, type Fate } from './fate.ts'
import type { FlowPlan } from './flows.ts'
import type { Lives } from './lives.ts'
import type { Timeline } from './timeline.ts'

/** `message`: one of a TCP connection, `echo` the same on its way back. */
export type PacketKind = 'datagram' | 'answer' | 'message' | 'echo'
export const PACKET_KINDS: readonly PacketKind[] = ['datagram', 'answer', 'message', 'echo']

export interface Wrong {
  readonly at: number
  readonly what: string
  readonly flow: FlowPlan
}

type Group3 = [number, number, number]
type Group4 = [...Group3, number]
type Group5 = [...Group4, number]

/** What is sent is judged as lost only when it was told and its arrival would have been: programs tell four times a second. */
const PATIENCE_MS = ON_ITS_WAY_MS + 3_000

export class Judge {
  readonly fates: Record<PacketKind, Record<Fate, number>>
  connections = 0
  readonly wrong: Wrong[] = []
  /** The longest time that a reply went on after its permission was gone. Milliseconds. */
  latestCutMs = 0
  readonly #timeline: Timeline
  readonly #states: readonly RawCluster[]
  readonly #flows: readonly FlowPlan[]
  readonly #lives: Lives
  readonly #verdicts = new Map<number, OracleVerdict>()
  /** Flow and number of a packet that was sent -> when; gone once it has arrived. */
  readonly #sent = { datagram: new Map<string, number>(), answer: new Map<string, number>() }
  readonly #arrived = { datagram: new Map<string, number>(), answer: new Map<string, number>() }
  readonly #open = new Map<string, Connection>()

  constructor(timeline: Timeline, states: readonly RawCluster[], flows: readonly FlowPlan[], lives: Lives) {
    this.#timeline = timeline
    this.#states = states
    this.#flows = flows
    this.#lives = lives
    const none = (): Record<Fate, number> => ({ right: 0, open: 0, exempt: 0, leaked: 0, lost: 0 })
    this.fates = { datagram: none(), answer: none(), message: none(), echo: none() }
  }

  take(told: Told): void {
    for (const [kind, sent, came] of [['datagram', told.sent, told.came], ['answer', told.answered, told.answers]] as const) {
      for (const [flow, number, sentAt] of inGroups<Group3>(sent, 3)) if (!this.#arrived[kind].has(`${flow} ${number}`)) this.#sent[kind].set(`${flow} ${number}`, sentAt)
      for (const [flow, number, sentAt, cameAt] of inGroups<Group4>(came, 4)) {
        this.#sent[kind].delete(`${flow} ${number}`)
        this.#arrived[kind].set(`${flow} ${number}`, sentAt)
        this.#packet(kind, flow, sentAt, cameAt)
      }
    }
    for (const [kind, list] of [['message', told.messages], ['echo', told.echoes]] as const) {
      for (const [flow, connection, sentAt, notBefore, cameAt] of inGroups<Group5>(list, 5)) {
        if (kind === 'echo') this.#open.get(`${flow} ${connection}`)?.echoes.push(cameAt)
        // The kernel sends again what got lost: what arrives may have been judged just now.
        this.#packet(kind, flow, Math.max(sentAt, notBefore), cameAt)
      }
    }
    for (const one of told.connections) this.#connection(one)
  }

  /** Judges what is old enough. `now`: Infinity at the end. */
  settle(now: number): void {
    for (const kind of ['datagram', 'answer'] as const) {
      for (const [key, sentAt] of this.#sent[kind]) {
        if (sentAt > now - PATIENCE_MS) continue
        this.#sent[kind].delete(key)
        this.#packet(kind, Number(key.split(' ')[0]), sentAt, null)
      }
      for (const [key, sentAt] of this.#arrived[kind]) if (sentAt <= now - 2 * PATIENCE_MS) this.#arrived[kind].delete(key)
    }
    for (const [key, connection] of this.#open) {
      if (connection.end === null || connection.end.at > now - PATIENCE_MS) continue
      this.#open.delete(key)
      this.connections++
      const flow = this.#flow(connection.flow)
      const breach = judgeConnection(connection, this.#allowedUntil(flow, connection.begunAt, connection.end.at))
      if (breach !== null) this.#tell(connection.begunAt, flow, `connection ${breach}: ${title(flow)}: ${JSON.stringify({ ...connection, echoes: connection.echoes.slice(-3) })}`)
    }
  }

  get packets(): number {
    return Object.values(this.fates).reduce((sum, one) => sum + Object.values(one).reduce((a, b) => a + b, 0), 0)
  }

  #packet(kind: PacketKind, id: number, sentAt: number, arrivedAt: number | null): void {
    const flow = this.#flow(id)
    if (arrivedAt === null && !(this.#isThere(flow, sentAt - 1_000, sentAt + ON_ITS_WAY_MS))) return
    const isReply = kind === 'answer' || kind === 'echo'
    const packet = { fromNode: flow.from.node, toNode: flow.to.node, sentAt, arrivedAt, isReply }
    const { fate, egress, ingress } = judgeFate(this.#timeline, packet, (state) => this.#verdict(flow, state))
    this.fates[kind][fate]++
    if (isReply && arrivedAt !== null && fate === 'open') this.#lateness(flow, sentAt, arrivedAt)
    if (fate !== 'leaked' && fate !== 'lost') return
    const verdicts = [`${flow.from.node} at states ${egress.first}-${egress.last}`, `${flow.to.node} at ${ingress.first}-${ingress.last}`]
    const said = JSON.stringify(this.#verdict(flow, ingress.last))
    this.#tell(sentAt, flow, `${kind} ${fate}: ${title(flow)}, sent ${sentAt}, ${arrivedAt === null ? 'did not arrive' : `arrived ${arrivedAt}`}; ${verdicts.join(', ')}; the last says ${said}`)
  }

  /** How long it had been without permission. */
  #lateness(flow: FlowPlan, sentAt: number, arrivedAt: number): void {
    for (let ms = this.latestCutMs + 1; ms <= CUT_MS; ms++) {
      const packet = { fromNode: flow.from.node, toNode: flow.to.node, sentAt: sentAt - ms, arrivedAt }
      if (judgeFate(this.#timeline, packet, (state) => this.#verdict(flow, state)).fate !== 'leaked') return
      this.latestCutMs = ms
    }
  }

  #connection({ flow, connection, what, at, error }: Told['connections'][number]): void {
    const key = `${flow} ${connection}`
    if (what === 'begun') this.#open.set(key, { flow, connection, begunAt: at, connectedAt: null, echoes: [], end: null })
    const open = this.#open.get(key)
    if (open === undefined) return
    if (what === 'connected') {
      open.connectedAt = at
      this.#packet('message', flow, open.begunAt, at)
    }
    if (what === 'ended' || what === 'failed') open.end = { at, error: error ?? null }
  }

  #allowedUntil(flow: FlowPlan, from: number, to: number): number {
    const isAllowed = (until: number): boolean => {
      if (!this.#isThere(flow, from - 1_000, until)) return false
      const packet = { fromNode: flow.from.node, toNode: flow.to.node, sentAt: from, arrivedAt: until }
      // That it would have been right to arrive, at any moment in between.
      return judgeFate(this.#timeline, packet, (state) => this.#verdict(flow, state)).fate === 'right'
    }
    if (isAllowed(to)) return to
    let last = from - 1
    for (let at = from; at < to && isAllowed(at); at += 50) last = at
    return last
  }

  #isThere(flow: FlowPlan, from: number, to: number): boolean {
    return this.#lives.isThere(flow.from.name, from, to) && this.#lives.isThere(flow.to.name, from, to)
  }

  #verdict(flow: FlowPlan, state: number): OracleVerdict {
    const key = state * this.#flows.length + flow.id
    const known = this.#verdicts.get(key)
    if (known !== undefined) return known
    const { source, destination, port } = flow
    const verdict = judge(this.#states[state] as RawCluster, { source, destination, protocol: flow.kind === 'tcp' ? 'TCP' : 'UDP', port })
    this.#verdicts.set(key, verdict)
    return verdict
  }

  #flow(id: number): FlowPlan {
    const flow = this.#flows[id]
    if (flow === undefined) throw new Error(`there is no flow ${id}`)
    return flow
  }

  #tell(at: number, flow: FlowPlan, what: string): void {
    this.wrong.push({ at, flow, what })
  }
}

function title({ id, kind, from, to, source, destination, sourcePort, port }: FlowPlan): string {
  return `flow ${id} (${kind}) ${from.name} -> ${to.name}, ${source}${kind === 'tcp' ? '' : ` ${sourcePort}`} -> ${destination} ${port}`
}

/** `size` numbers each. */
function* inGroups<Group extends readonly number[]>(list: readonly number[], size: Group['length']): Generator<Group> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size) as readonly number[] as Group
}
