// What a profile said when a packet met it: by the profile's id and the generation of its content, both in the log prefix.
//
// A generation is of one content only, so no time is asked for; but for metadata.generation of its policies, which is no part of it.
// **Invariant:** what is given out has the generation that was asked for.
import type { Changes } from '../model/changes.ts'
import type { PolicyUid } from '../model/objects.ts'
import type { Policy } from '../model/policy.ts'
import type { Profile, ProfileId } from '../policy/plan.ts'
import { profileGeneration } from '../ruleset/log-prefix.ts'
import type { Moment, Moments, Span } from './moments.ts'
import { Timeline } from './timeline.ts'

export interface KnownProfile {
  readonly profile: Profile
  /** Since when it is so; null: for longer than is remembered. */
  readonly began: Moment | null
  /** Null: it is so now. */
  readonly ended: Moment | null
}

const POLICY_BYTES = 200
const RULE_BYTES = 300
/** Less than any two clocks tell apart. */
const EPSILON = 0.001

export class ProfileHistory {
  readonly #moments: Moments
  readonly #now: { get(id: ProfileId): Profile | undefined }
  readonly #past = new Map<string, KnownProfile>()
  readonly #began = new Map<ProfileId, Moment>()
  readonly #generations: Timeline<PolicyUid, number | null>
  readonly #hashes = new WeakMap<Profile, string>()

  constructor(moments: Moments, now: { get(id: ProfileId): Profile | undefined }) {
    this.#moments = moments
    this.#now = now
    this.#generations = new Timeline(moments)
  }

  planned(moment: Moment, profiles: Changes<ProfileId, Profile>, policies: Changes<PolicyUid, Policy>): void {
    for (const [id, { before, after }] of profiles) {
      // What is logged of it may change, while what it says does not.
      if (before !== null && after !== null && this.#hashOf(before) === this.#hashOf(after)) continue
      if (before !== null) this.#end(before, moment)
      if (after === null) this.#began.delete(id)
      else this.#begin(id, moment)
    }
    for (const [uid, { before, after }] of policies) {
      if (before?.generation !== after?.generation) this.#generations.note(uid, before?.generation ?? null, moment, 0)
    }
  }

  /** Null where it is too old to be known. */
  find(id: ProfileId, generation: string): KnownProfile | null {
    const profile = this.#now.get(id)
    if (profile !== undefined && this.#hashOf(profile) === generation) return { profile, began: this.#began.get(id) ?? null, ended: null }
    return this.#past.get(`${id} ${generation}`) ?? null
  }

  /** metadata.generation of a policy of that profile; more than one, where it is not known which. `now`: of its row, null where there is none. */
  generationsOf(policy: PolicyUid, now: number | null, { began, ended }: KnownProfile, { first, last }: Span): readonly number[] {
    const since = began === null ? first : Math.max(first, began.until + EPSILON)
    const to = ended === null ? Math.max(last, since) : Math.min(Math.max(last, since), ended.from - EPSILON)
    return this.#generations.between(policy, now, { first: Math.min(since, to), last: to }).filter((one) => one !== null)
  }

  /** Whether a policy may have been edited since then. */
  editedSince(policy: PolicyUid, time: number): boolean {
    return this.#generations.changedSince(policy, time)
  }

  #begin(id: ProfileId, moment: Moment): void {
    this.#began.set(id, moment)
    this.#moments.note(moment, 0, () => {
      if (this.#began.get(id) === moment) this.#began.delete(id)
    })
  }

  #end(profile: Profile, moment: Moment): void {
    const key = `${profile.id} ${this.#hashOf(profile)}`
    const known: KnownProfile = { profile, began: this.#began.get(profile.id) ?? null, ended: moment }
    this.#past.set(key, known)
    this.#moments.note(moment, profile.policies.length * POLICY_BYTES + (profile.rules.length + profile.dispatch.length) * RULE_BYTES, () => {
      if (this.#past.get(key) === known) this.#past.delete(key)
    })
  }

  #hashOf(profile: Profile): string {
    const known = this.#hashes.get(profile)
    if (known !== undefined) return known
    const hash = profileGeneration(profile)
    this.#hashes.set(profile, hash)
    return hash
  }
}
