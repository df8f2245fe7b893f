// A recorder of events over the API's objects in memory, on a clock of the test.
//
// **Invariant:** each Event that is kept is one that a real server takes, or the test fails.
import assert from 'node:assert/strict'
import { ObjectWriter } from '../../src/kube/object-writer.ts'
import { EventRecorder, type EventRecorderOptions } from '../../src/report/event-recorder.ts'
import type { WantedEvent } from '../../src/report/events.ts'
import { eventFaults, type KeptEvent } from './event-rules.ts'
import { FakeClock } from './fake-clock.ts'
import { MemoryApi } from './memory-api.ts'

const EVENTS = '/apis/events.k8s.io/v1/events'

export class EventStage {
  readonly clock = new FakeClock()
  readonly memory = new MemoryApi(this.clock)
  readonly recorder: EventRecorder
  readonly troubles: (string | null)[] = []
  leads = true
  quietUntil = -Infinity
  #seed = 0

  constructor(more: Partial<EventRecorderOptions> = {}) {
    this.clock.setAhead(Date.UTC(2026, 0, 1))
    this.memory.onChange = (_path, object, gone) => {
      if (!gone) assert.deepEqual(eventFaults(object as unknown as KeptEvent), [], JSON.stringify(object))
    }
    this.recorder = new EventRecorder({
      clock: this.clock,
      random: () => (this.#seed += 0.001) % 1,
      writer: new ObjectWriter({ transport: this.memory, clock: this.clock, fieldManager: 'operator' }),
      reportingController: 'picket.dev/operator',
      reportingInstance: 'picket-operator-abc',
      mayWrite: () => this.leads,
      quietUntil: () => this.quietUntil,
      onTrouble: (message) => void this.troubles.push(message),
      ...more,
    })
  }

  events(): readonly KeptEvent[] {
    return this.memory.list(EVENTS) as unknown as readonly KeptEvent[]
  }

  /** `web Programmed x3`, in order of their creation. */
  texts(): readonly string[] {
    return this.events().map(({ regarding, reason, series }) => `${regarding?.name} ${reason}${series === undefined ? '' : ` x${series.count}`}`)
  }

  /** Methods of the requests since the last time. */
  requests(): readonly string[] {
    return this.memory.requests.splice(0).map(({ method }) => method)
  }

  forget(): void {
    for (const { metadata: { namespace, name } } of this.events()) this.memory.remove(EVENTS, `${namespace}/${name}`)
  }
}

export function wanted(name: string, fields: Partial<WantedEvent> = {}): WantedEvent {
  return {
    regarding: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', namespace: 'shop', name, uid: `uid-${name}`, resourceVersion: '7' },
    type: 'Warning',
    reason: 'ProgrammingFailed',
    action: 'Program',
    note: `${name} fails`,
    key: 'CommitRefused',
    ...fields,
  }
}

export function programmed(name: string, generation: number): WantedEvent {
  return wanted(name, { type: 'Normal', reason: 'Programmed', note: `generation ${generation}`, key: String(generation) })
}
