// The metrics of what policies let pass and deny: by rule and by pod, as the kernel counted it.
//
// **Invariant:** so many series as the reading has, and one sum for each metric of what it left out.
import { Counter, Gauge, type Registry } from 'prom-client'
import type { CountedReading } from './readings.ts'

type Labels = Readonly<Record<string, string>>

const OVERFLOW = { overflow: 'true' }
const MORE = 'with overflow="true" the sum of what has no series of its own (setting metricsCounters)'

export class CountedMetrics {
  readonly #allowed: readonly [packets: Counter, bytes: Counter]
  readonly #dropped: readonly [packets: Counter, bytes: Counter]
  readonly #leftOut: Gauge

  constructor(registry: Registry) {
    const registers = [registry]
    const rule = ['namespace', 'policy', 'direction', 'rule', 'overflow']
    const pod = ['namespace', 'pod', 'direction', 'overflow']
    this.#allowed = [
      new Counter({ name: 'picket_policy_packets_total', help: `Packets that a rule of a policy let pass on this node, replies left out, by the rule's place in the policy from 0; several: of several rules whose peers are looked up as one; ${MORE}.`, labelNames: rule, registers }),
      new Counter({ name: 'picket_policy_bytes_total', help: `Bytes of these packets, IP headers included; ${MORE}.`, labelNames: rule, registers }),
    ]
    this.#dropped = [
      new Counter({ name: 'picket_pod_dropped_packets_total', help: `Packets that policies denied an isolated pod of this node: that it sent (egress) or was sent (ingress); ${MORE}.`, labelNames: pod, registers }),
      new Counter({ name: 'picket_pod_dropped_bytes_total', help: `Bytes of these packets, IP headers included; ${MORE}.`, labelNames: pod, registers }),
    ]
    this.#leftOut = new Gauge({ name: 'picket_counters_left_out', help: 'Rules, and directions of pods, that have no series of their own since there are more than the setting metricsCounters allows.', registers })
  }

  set({ series, overflow, leftOut }: CountedReading): void {
    for (const counter of [...this.#allowed, ...this.#dropped]) counter.reset()
    for (const { kind, labels, packets, bytes } of series) this.#add(kind, labels, packets, bytes)
    if (leftOut > 0 || overflow.allowed.packets > 0) this.#add('allowed', OVERFLOW, overflow.allowed.packets, overflow.allowed.bytes)
    if (leftOut > 0 || overflow.dropped.packets > 0) this.#add('dropped', OVERFLOW, overflow.dropped.packets, overflow.dropped.bytes)
    this.#leftOut.set(leftOut)
  }

  #add(kind: 'allowed' | 'dropped', labels: Labels, packets: number, bytes: number): void {
    const [ofPackets, ofBytes] = kind === 'allowed' ? this.#allowed : this.#dropped
    ofPackets.inc(labels, packets)
    ofBytes.inc(labels, bytes)
  }
}
