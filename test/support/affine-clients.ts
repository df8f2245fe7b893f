// Clients of Services with sessionAffinity, as the kernel remembers them: asked like packets do, swept like the kernel does.
//
// **Invariant:** a client that is led to an endpoint that its list has not any more fails, and so does one that moves without need.
import assert from 'node:assert/strict'
import { RememberedClients } from '../../src/agent/remembered-clients.ts'
import type { ClientSweep, SweepOutcome } from '../../src/kernel/kernel.ts'
import { bytesOf, familyOf, toBits, type Address } from '../../src/model/ip.ts'
import type { ServicePlan } from '../../src/nat/step.ts'
import { markLayout, type MarkLayout } from '../../src/ruleset/marks.ts'
import { affinityMap } from '../../src/ruleset/names.ts'
import { readLists } from '../../src/ruleset/service-memory.ts'
import { FakeClock, settled } from './fake-clock.ts'
import type { Pipeline } from './pipeline.ts'
import type { Question } from './service-oracle.ts'
import { fateIn } from './service-table.ts'

const LAYOUT = markLayout(0xffffff00) as MarkLayout
const CLIENTS = [1, 2]

interface Entry {
  readonly mark: number
  readonly client: number
  /** `ADDRESS port` */
  readonly end: string
}

export class AffineClients {
  readonly #clock = new FakeClock()
  /** By map, then by mark and client. */
  readonly #held = new Map<string, Map<string, Entry>>()
  /** Where a client of a question has to come out. */
  #expected = new Map<string, { readonly question: Question; readonly end: string }>()
  #made: Pipeline
  #clients: RememberedClients

  constructor(made: Pipeline) {
    this.#made = made
    this.#clients = this.#start()
  }

  #start(): RememberedClients {
    const nothing = (): void => undefined
    return new RememberedClients({ kernel: { sweepClients: (_, sweep) => this.#sweep(sweep) }, clock: this.#clock, plan: this.#made.turns.nat.services as ServicePlan, layout: LAYOUT, onForgotten: nothing, onProblems: nothing })
  }

  async #sweep({ map, judged, valid, addressLength }: ClientSweep): Promise<SweepOutcome> {
    const width = 4 + addressLength + 2
    const ends = new Set(Array.from({ length: valid.length / width }, (_, i) => Buffer.from(valid).toString('hex', i * width, (i + 1) * width)))
    const held = this.#held.get(map)
    for (const [key, entry] of held ?? []) if ((judged === null || judged.includes(entry.mark)) && !ends.has(recordOf(entry))) held?.delete(key)
    return { kind: 'done', forgotten: 0 }
  }

  /** The newest turn of that pipeline has ended. */
  planned(): void {
    this.#clients.planned(this.#made.turns.revision, this.#made.services)
    // Whose list ends, or who leaves it, may come back as another one, before the kernel gets to know.
    for (const [name, { question, end }] of this.#expected) {
      const fate = fateIn(this.#made.applied, question)
      if (fate === null || !fate.stays || !fate.to.includes(end)) this.#expected.delete(name)
    }
  }

  /** The kernel holds the table in memory, and what is due at once is done. */
  async held(): Promise<void> {
    this.#clients.held(this.#made.turns.revision)
    await settled()
  }

  async advance(ms: number): Promise<void> {
    await this.#clock.advance(ms)
  }

  /** Another agent goes on, with that pipeline; the kernel keeps what it has. */
  restart(next: Pipeline): void {
    void this.#clients.close()
    for (const [map, held] of this.#held) {
      for (const { mark, client, end } of held.values()) this.#made.applied.sets.get(map)?.elements.set(`${mark} . ${client}`, { key: `${mark} . ${client}`, value: end.replace(' ', ' . ') })
    }
    next.turns.nat.services?.remember(readLists(this.#made.applied, LAYOUT))
    this.#made = next
    this.#clients = this.#start()
  }

  forgetExpectations(): void {
    this.#expected = new Map()
  }

  /** A connection of each client; how many of them were to stay. */
  ask(question: Question, picks: number): number {
    const { address, protocol } = question
    const fate = fateIn(this.#made.applied, question)
    const held = this.#held.get(affinityMap(protocol, familyOf(address))) ?? new Map<string, Entry>()
    this.#held.set(affinityMap(protocol, familyOf(address)), held)
    let checks = 0
    for (const client of CLIENTS) {
      const name = `${JSON.stringify(question)} ${client}`
      const expected = this.#expected.get(name)?.end
      this.#expected.delete(name)
      if (fate === null || !Array.isArray(fate.to) || !fate.stays) continue
      const mark = fate.list * 0x10000
      const known = held.get(`${mark} ${client}`)?.end
      if (known !== undefined) assert.ok(fate.to.includes(known), `${name} is led to ${known}, which has left`)
      const end = known ?? (fate.to[(picks + client) % fate.to.length] as string)
      if (expected !== undefined) {
        assert.equal(end, expected, `${name} moves`)
        checks++
      }
      held.set(`${mark} ${client}`, { mark, client, end })
      this.#expected.set(name, { question, end })
    }
    return checks
  }
}

function recordOf({ mark, end }: Entry): string {
  const [address, port] = end.split(' ') as [Address, string]
  const [before, behind] = [Buffer.alloc(4), Buffer.alloc(2)]
  before.writeUInt32LE(mark)
  behind.writeUInt16BE(Number(port))
  return Buffer.concat([before, bytesOf(familyOf(address), toBits(address)), behind]).toString('hex')
}
