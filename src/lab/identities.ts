// The identity of each object of a folder: UID, creation time, resource version, generation.
//
// Used by control-plane.ts. **Invariant:** two objects that were never there at the same time have different UIDs, even
// with the same name.
import type { JsonObject } from './case-fields.ts'
import { labUid, text, timestamp } from './kube-objects.ts'

interface Identity {
  readonly uid: string
  readonly createdAt: string
  version: number
  generation: number
  whole: string
  spec: string
}

export class Identities {
  readonly #now: () => number
  readonly #of = new Map<string, Identity>()
  readonly #generated = new Map<string, string>()
  #serial = 1
  #version = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Forgets objects that are gone: the next of that name is another one. Keys: `KIND NAMESPACE/NAME`. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const key of this.#of.keys()) if (!keys.has(key)) this.#of.delete(key)
  }

  uidOf(key: string): string {
    return this.#identity(key).uid
  }

  /** What the API server sets in `metadata`. */
  metadataOf(key: string, object: JsonObject): JsonObject {
    const identity = this.#identity(key)
    const whole = text(object)
    const spec = text(object['spec'] ?? null)
    if (whole !== identity.whole) identity.version = ++this.#version
    if (spec !== identity.spec) identity.generation += 1
    identity.whole = whole
    identity.spec = spec
    return { uid: identity.uid, creationTimestamp: identity.createdAt, resourceVersion: String(identity.version), generation: identity.generation }
  }

  /** A UID for an object that the lab makes itself; the same for the same key. */
  generated(key: string): string {
    const uid = this.#generated.get(key) ?? labUid(this.#serial++)
    this.#generated.set(key, uid)
    return uid
  }

  #identity(key: string): Identity {
    const known = this.#of.get(key)
    if (known !== undefined) return known
    const made = { uid: labUid(this.#serial++), createdAt: timestamp(this.#now()), version: 0, generation: 0, whole: '', spec: '' }
    this.#of.set(key, made)
    return made
  }
}
