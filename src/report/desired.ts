// What is published about one object: as it should stand, as it stands, and what is to be done about the difference.
//
// **Invariant:** whatever is to be done is said by these two alone; how often it was said before, and by whom, makes no difference.

/** An object in the cluster, at the version that was seen. */
export interface Version {
  readonly uid: string
  readonly resourceVersion: string
}

export interface Standing extends Version {
  /** UID of what it tells about, as it says itself; empty where it says nothing. */
  readonly owner: string
  /** Of what it tells: null where it tells nothing yet. */
  readonly transition: string | null
  readonly counts: string | null
}

export interface Desired<Body> {
  /** Namespace and name, or a name. */
  readonly key: string
  /** UID of what it tells about: with another one the object is deleted and made anew. */
  readonly owner: string
  /** A fingerprint of all that somebody may wait for: another one is written as soon as may be. */
  readonly transition: string
  /** A fingerprint of the rest: another one is written with the next transition, or when its time comes. */
  readonly counts: string
  /** Null: there should be no such object. */
  readonly body: Body | null
  /** Comes in front of others: somebody has just edited what it tells about. */
  readonly urgent: boolean
  /** As it stood in what this was computed from; null: it was not there. */
  readonly from: Standing | null
}

export type Action = 'create' | 'apply' | 'delete'

export type Need =
  | { readonly kind: 'nothing' }
  /** As soon as may be. */
  | { readonly kind: 'transition'; readonly action: Action }
  | { readonly kind: 'counts'; readonly action: 'apply' }

const NOTHING: Need = { kind: 'nothing' }

export function needOf({ body, owner, transition, counts }: Pick<Desired<unknown>, 'body' | 'owner' | 'transition' | 'counts'>, standing: Standing | null): Need {
  if (standing === null) return body === null ? NOTHING : { kind: 'transition', action: 'create' }
  // "A policy or Node that was deleted and recreated (other UID): the status object is deleted and made anew; orphans are deleted."
  if (body === null || owner !== standing.owner) return { kind: 'transition', action: 'delete' }
  if (transition !== standing.transition) return { kind: 'transition', action: 'apply' }
  return counts === standing.counts ? NOTHING : { kind: 'counts', action: 'apply' }
}
