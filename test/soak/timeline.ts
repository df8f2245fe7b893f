// Which states of the cluster may be in force on a node at a moment, and when nothing can be said of it.
//
// A state may be in force from the moment it is written, and no more once the node's agent said that it holds a later one.
// A node without an agent says nothing: the state that it held stays possible, and so does each one written since.
// **Invariant:** times are milliseconds since 1970 of one clock; states are numbered in the order of writing, from 0.

/** Within this a foreign change must be repaired (rule 108). */
export const REPAIR_MS = 5_000

export interface Window {
  /** Numbers of states. */
  readonly first: number
  readonly last: number
}

interface Foreign {
  readonly at: number
  /** Null where nobody said yet that it is repaired. */
  repairedAt: number | null
}

export class Timeline {
  readonly #written: number[] = []
  /** Node -> what it said that it holds, in that order. */
  readonly #held = new Map<string, { readonly state: number; readonly at: number }[]>()
  readonly #foreign = new Map<string, Foreign[]>()
  readonly #ended = new Map<string, number[]>()

  /** To be called before the state can be read by an agent; its number. */
  wrote(at: number): number {
    return this.#written.push(at) - 1
  }

  /** The node's agent answered at that moment that the kernel holds the state. */
  held(node: string, state: number, at: number): void {
    push(this.#held, node, { state, at })
  }

  /** The node's agent is about to be ended. */
  ended(node: string, at: number): void {
    push(this.#ended, node, at)
  }

  /** Somebody is about to change the node's table. */
  foreign(node: string, at: number): void {
    push(this.#foreign, node, { at, repairedAt: null })
  }

  /** The agent said that the table of the node is whole again; how long it took, from the oldest change on. */
  repaired(node: string, at: number): number | null {
    const open = (this.#foreign.get(node) ?? []).filter((one) => one.repairedAt === null)
    for (const one of open) one.repairedAt = at
    return open[0] === undefined ? null : at - open[0].at
  }

  /**
   * What may be in force on the node at some moment from `from` to `to`. `afterMs`: of what the agent does so long after it
   * holds a state, if nobody ends it before (the next one does it then).
   */
  window(node: string, from: number, to: number, afterMs = 0): Window {
    const ended = this.#ended.get(node) ?? []
    const isDone = (at: number): boolean => at + afterMs <= from && !ended.some((end) => at <= end && end < at + afterMs)
    const first = Math.max(0, ...(this.#held.get(node) ?? []).filter((one) => isDone(one.at)).map((one) => one.state))
    return { first, last: Math.max(first, this.#written.findLastIndex((at) => at <= to)) }
  }

  /** Whether a foreign change may have been in force then: until it was repaired, and never longer than it may be. */
  isExempt(node: string, from: number, to: number): boolean {
    return (this.#foreign.get(node) ?? []).some((one) => one.at <= to && from <= Math.min(one.repairedAt ?? Infinity, one.at + REPAIR_MS))
  }
}

function push<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}
