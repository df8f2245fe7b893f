// Which policies were deleted shortly before a list was taken: read from the history that the API server still has, by a watch that
// begins in the past.
//
// A list does not tell what it no longer holds, and a policy that was deleted may still be in kernels. The history goes back 75 s and
// 100 changes of policies at least, unless the API server was restarted since.
// **Invariant:** what is told was deleted at the version that it is told with; whatever is not known to be complete is told as that.
import { acceptOf, eventsOf } from '../kube/encodings.ts'
import { ApiFailure } from '../kube/failures.ts'
import type { WatchEvent } from '../kube/messages.ts'
import type { Resource } from '../kube/resources.ts'
import { versionOf } from '../kube/rows.ts'
import type { Clock } from '../lib/clock.ts'
import { isOlder } from '../lib/versions.ts'
import type { Asking } from './ask.ts'
import { policyFacts } from './facts.ts'

export interface Removal {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** resourceVersion of its deletion. */
  readonly version: string
}

export interface Past {
  readonly removals: readonly Removal[]
  /** From which version on they are known. */
  readonly from: string
  /** False: the server tells nothing of its past. */
  readonly isKnown: boolean
}

/** The past comes in one go: after so long without another event it is over. */
const OVER_MS = 1_000

/** Deletions after `from` and up to `until`, both versions of lists. */
export async function readPast(asking: Asking, policies: Resource, from: string, until: string, clock: Clock, signal: AbortSignal): Promise<Past> {
  let begin = from
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (!isOlder(begin, until)) return { removals: [], from: begin, isKnown: true }
    const read = await readFrom(asking, policies, begin, until, clock, signal)
    if (Array.isArray(read)) return { removals: read, from: begin, isKnown: true }
    // "too old resource version: 5 (1234)": it goes back to there.
    const [, oldest] = /too old resource version: \d+ \((\d{1,64})\)/.exec(read.refusal) ?? []
    if (oldest === undefined || !isOlder(begin, oldest)) break
    begin = oldest
  }
  return { removals: [], from: until, isKnown: false }
}

async function readFrom(asking: Asking, resource: Resource, from: string, until: string, clock: Clock, signal: AbortSignal): Promise<Removal[] | { readonly refusal: string }> {
  const over = new AbortController()
  const removals: Removal[] = []
  let cancel = clock.after(OVER_MS * 10, () => over.abort())
  try {
    const query = { ...resource.query, watch: 'true', allowWatchBookmarks: 'true', resourceVersion: from, timeoutSeconds: '60' }
    const { body, contentType } = await asking.get({ verb: 'watch', resource, path: resource.path, query, accept: acceptOf(resource, 'watch') }, AbortSignal.any([signal, over.signal]))
    const events = eventsOf(resource, contentType)
    const rest = (): void => {
      cancel()
      cancel = clock.after(OVER_MS, () => over.abort())
    }
    rest()
    for await (const portion of body) {
      rest()
      for (const event of events.push(portion)) {
        const step = take(event, until, removals)
        if (step !== 'on') return step === 'over' ? removals : step
      }
    }
    return removals
  } catch (error) {
    if (over.signal.aborted && !signal.aborted) return removals
    if (error instanceof ApiFailure && error.code === 'Gone') return { refusal: '' }
    throw error
  } finally {
    cancel()
    over.abort()
  }
}

function take({ type, object }: WatchEvent, until: string, removals: Removal[]): 'on' | 'over' | { readonly refusal: string } {
  if (type === 'ERROR') return refusedBy(object)
  const version = versionOf(object)
  if (version !== null && isOlder(until, version)) return 'over'
  const policy = type === 'DELETED' ? policyFacts(object) : null
  if (policy !== null && version !== null) removals.push({ namespace: policy.namespace, name: policy.name, uid: policy.uid, version })
  return version === until ? 'over' : 'on'
}

function refusedBy(object: unknown): { readonly refusal: string } {
  const { code, message } = (object ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  const text = typeof message === 'string' ? message : ''
  if (code === 410) return { refusal: text }
  throw new ApiFailure('ServerError', `the API server ended the watch of networkpolicies${text === '' ? '' : `: ${text.slice(0, 200)}`}`)
}
