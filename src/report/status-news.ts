// The statuses as the API has them, one after the other -> the events that each new one is.
//
// What stands there when we come is no news: whoever led before has told it, and what it missed the status says.
// **Invariant:** two statuses are compared only where both are of the same policy, or Node, by UID.
import type { PolicyEnforcementStatus } from '../crd/policy-enforcement.ts'
import type { Condition } from '../crd/shared.ts'
import { keyOf } from '../lib/names.ts'
import { eventsOf, nodeEventsOf, type WantedEvent } from './events.ts'

interface SeenNode {
  readonly uid: string
  readonly conditions: readonly Condition[]
}

const NOTHING: readonly WantedEvent[] = []

export class StatusNews {
  /** By `namespace/name`. */
  readonly #policies = new Map<string, PolicyEnforcementStatus>()
  readonly #nodes = new Map<string, SeenNode>()
  #isOpen = false

  /** Everything that stood there was seen: from here on what is new is told. */
  open(): void {
    this.#isOpen = true
  }

  /** The status of a policy as it stands now; null: there is none, or it cannot be read. */
  policy(namespace: string, name: string, status: PolicyEnforcementStatus | null): readonly WantedEvent[] {
    const key = keyOf({ namespace, name })
    const before = this.#policies.get(key) ?? null
    if (status === null) this.#policies.delete(key)
    else this.#policies.set(key, status)
    return this.#isOpen && status !== null && status !== before ? eventsOf(before, status, namespace) : NOTHING
  }

  /** Conditions of a NodeEnforcement and the UID of its Node; null: there is none. */
  node(name: string, seen: SeenNode | null): readonly WantedEvent[] {
    const before = this.#nodes.get(name)
    if (seen === null) this.#nodes.delete(name)
    else this.#nodes.set(name, seen)
    if (!this.#isOpen || seen === null) return NOTHING
    return nodeEventsOf(before?.uid === seen.uid ? before.conditions : null, seen.conditions, { name, uid: seen.uid })
  }
}
