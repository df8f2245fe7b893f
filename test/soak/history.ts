// The states of a round, one after the other: written to the agents' folder, into the timeline, and into a story for people.
//
// **Invariant:** one edit is one state; the timeline has it before any agent can read it.
import type { RawCluster, RawPod } from '../support/manifests.ts'
import type { RealCluster } from '../support/real-cluster.ts'
import type { PlainObject } from '../support/real-objects.ts'
import type { Timeline } from './timeline.ts'
import type { Edit, World } from './world.ts'

/** Of the story around a moment. Milliseconds. */
const BEFORE = 5_000
const AFTER = 7_000
const LINE_LENGTH = 400

export class History {
  readonly states: RawCluster[] = []
  edits = 0
  readonly #lab: RealCluster
  readonly #world: World
  readonly #timeline: Timeline
  readonly #written: (state: number, digest: string) => void
  readonly #story: { readonly at: number; readonly what: string }[] = []

  /** `written`: the folder holds the state, and that is its digest. */
  constructor(lab: RealCluster, world: World, timeline: Timeline, written: (state: number, digest: string) => void) {
    this.#lab = lab
    this.#world = world
    this.#timeline = timeline
    this.#written = written
  }

  /** The world as it begins. */
  async begin(): Promise<void> {
    this.#lab.put(...(this.#world.objects as readonly unknown[] as readonly PlainObject[]))
    await this.#write()
  }

  /** The number of the state that the edit made. */
  commit({ what, object, gone }: Edit): Promise<number> {
    this.edits++
    this.tell(`state ${this.states.length}: ${what}`)
    const { namespace, name } = object.metadata
    if (gone) this.#lab.drop(`${object.kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`)
    else this.#lab.put(object as unknown as PlainObject)
    return this.#write()
  }

  tell(what: string): void {
    this.#story.push({ at: Date.now(), what })
  }

  /** What happened around that moment, a line each. */
  around(at: number): string {
    const near = this.#story.filter((one) => one.at > at - BEFORE && one.at < at + AFTER)
    return near.map((one) => `\n    ${one.at} ${one.what.slice(0, LINE_LENGTH)}`).join('')
  }

  async #write(): Promise<number> {
    this.states.push(this.#world.cluster())
    const state = this.#timeline.wrote(Date.now())
    this.#written(state, await this.#lab.write())
    return state
  }
}

export function keyOf({ metadata }: RawPod): string {
  return `${metadata.namespace}/${metadata.name}`
}
