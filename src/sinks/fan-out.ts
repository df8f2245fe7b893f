// All sinks of an agent: each gets the records that its own filter lets through, and what befalls one is told to the others.
//
//   write(line) --> filter --> sink        a sink's loss, failure, recovery --> a record --> the stream, and the other sinks
//
// **Invariant:** no sink gets a record that tells of itself while it fails; what it lost is told to it once, when it works again, so that
// no telling makes another without end.
import { matches, type Filter } from '../flows/filter.ts'
import { SCHEMA, type AgentRecord, type AuditRecord } from '../flows/record.ts'
import { sinkName, type SinkSpec } from '../flows/sink-text.ts'
import { systemClock, type Clock } from '../lib/clock.ts'
import { printable } from '../lib/show.ts'
import type { Loss } from './loss.ts'
import { openSink } from './open-sink.ts'
import type { SinkOptions } from './queued-sink.ts'
import type { RecordLine, Sink, SinkState } from './sink.ts'

export interface FanOutOptions {
  readonly specs: readonly SinkSpec[]
  readonly node: string
  readonly clock?: Clock
  /** What it has to say itself: for the stream of the socket. */
  readonly onRecord: (line: RecordLine) => void
  /** For tests. */
  readonly open?: typeof openSink
  readonly sinkOptions?: SinkOptions
}

interface Member {
  readonly sink: Sink
  readonly filter: Filter
  /** Losses, by the sink that had them, that this one could not be told while it failed. */
  readonly owed: Map<string, Loss>
}

const LONGEST_NAME = 200

export class FanOut {
  readonly #options: FanOutOptions
  readonly #clock: Clock
  readonly #members: readonly Member[]
  #isClosing = false

  private constructor(options: FanOutOptions) {
    const { specs, clock = systemClock, open = openSink, sinkOptions } = options
    this.#options = options
    this.#clock = clock
    this.#members = specs.map((spec) => {
      const name = sinkName(spec)
      const events = {
        onLost: (loss: Loss): void => this.#lost(name, loss),
        onFailed: (message: string): void => this.#tell(name, this.#agentRecord('sink-failed', `${printable(name, LONGEST_NAME)}: ${message}`)),
        onRecovered: (): void => this.#recovered(name),
      }
      return { sink: open(spec, events, { clock, ...sinkOptions }), filter: spec.filter, owed: new Map() }
    })
  }

  /** Never throws: see open-sink.ts. */
  static open(options: FanOutOptions): FanOut {
    return new FanOut(options)
  }

  /** Neither waits nor throws. */
  write(line: RecordLine): void {
    for (const { sink, filter } of this.#members) if (matches(filter, line.record)) sink.write(line)
  }

  /** By name. */
  states(): ReadonlyMap<string, SinkState> {
    return new Map(this.#members.map(({ sink }) => [sink.name, sink.state()]))
  }

  /** All at once, within about a second; what did not get through is told to onRecord. */
  async close(): Promise<void> {
    this.#isClosing = true
    await Promise.all(this.#members.map(({ sink }) => sink.close()))
  }

  #lost(name: string, loss: Loss): void {
    this.#tell(name, this.#lostRecord(name, loss))
    const own = this.#members.find(({ sink }) => sink.name === name)
    // A slow one is told at once; it has room of its own for that.
    if (own !== undefined) this.#tellLoss(own, name, loss)
  }

  #recovered(name: string): void {
    this.#tell(name, this.#agentRecord('sink-recovered', `${printable(name, LONGEST_NAME)}: records are written again`))
    const own = this.#members.find(({ sink }) => sink.name === name)
    if (own === undefined || this.#isClosing) return
    for (const [of, loss] of own.owed) this.#give(own, this.#lostRecord(of, loss))
    own.owed.clear()
  }

  /** The stream, and all but the one that it is about. */
  #tell(about: string, record: AuditRecord): void {
    this.#options.onRecord(lineOf(record))
    for (const member of this.#members) {
      if (member.sink.name === about) continue
      if (record.type === 'lost') this.#tellLoss(member, about, record)
      else if (member.sink.state().failure === null) this.#give(member, record)
    }
  }

  #tellLoss(member: Member, of: string, loss: Loss): void {
    if (member.sink.state().failure === null) return this.#give(member, this.#lostRecord(of, loss))
    const { count, first, last } = member.owed.get(of) ?? { ...loss, count: 0 }
    member.owed.set(of, { count: count + loss.count, first: first < loss.first ? first : loss.first, last: last > loss.last ? last : loss.last })
  }

  #give({ sink, filter }: Member, record: AuditRecord): void {
    if (!this.#isClosing && matches(filter, record)) sink.write(lineOf(record))
  }

  #lostRecord(name: string, { count, first, last }: Loss): AuditRecord {
    return { schema: SCHEMA, type: 'lost', time: this.#time(), node: this.#options.node, stage: 'sink', name, count, first, last }
  }

  #agentRecord(event: AgentRecord['event'], message: string): AuditRecord {
    return { schema: SCHEMA, type: 'agent', time: this.#time(), node: this.#options.node, event, message }
  }

  #time(): string {
    return new Date(this.#clock.wallTime()).toISOString()
  }
}

function lineOf(record: AuditRecord): RecordLine {
  return { record, line: JSON.stringify(record) }
}
