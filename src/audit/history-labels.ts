// Labels of log rules: the prefix has a short hash of the text only.
//
// **Invariant:** a text is told only where its hash is that of the prefix; at most so many that nothing has any more are kept.
import type { Changes } from '../model/changes.ts'
import type { Profile, ProfileId } from '../policy/plan.ts'
import { labelHash } from '../ruleset/log-prefix.ts'

const MOST = 10_000

export class LabelTexts {
  readonly #now: { get(id: ProfileId): Profile | undefined }
  /** The one that was said for longest ago first. */
  readonly #texts = new Map<string, string>()

  constructor(now: { get(id: ProfileId): Profile | undefined }) {
    this.#now = now
  }

  planned(profiles: Changes<ProfileId, Profile>): void {
    for (const { before, after } of profiles.values()) for (const text of [...textsOf(before), ...textsOf(after)]) this.#learn(text)
  }

  /** Null where nobody says it any more. */
  find(hash: string, profile: ProfileId | null): string | null {
    const now = profile === null ? null : (this.#now.get(profile) ?? null)
    return textsOf(now).find((text) => labelHash(text) === hash) ?? this.#texts.get(hash) ?? null
  }

  #learn(text: string): void {
    const hash = labelHash(text)
    this.#texts.delete(hash)
    this.#texts.set(hash, text)
    for (const [oldest] of this.#texts) if (this.#texts.size > MOST) this.#texts.delete(oldest)
      else break
  }
}

function textsOf(profile: Profile | null): readonly string[] {
  const log = profile?.log
  if (log === undefined) return []
  return [log.denied, ...Object.values(log.allowed).flat()].flatMap((one) => (one === null || one.label === '' ? [] : [one.label]))
}
