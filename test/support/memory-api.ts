// The objects of an API server without a server: what ObjectWriter asks goes to api-objects.ts at once, or after a time on the test's clock.
//
// For tests over hours of a fake clock, where sockets would need real time.
// **Invariant:** a request is carried out whole or not at all, in the order of arrival; each is counted.
import { ApiFailure } from '../../src/kube/failures.ts'
import { statusFailure } from '../../src/kube/statuses.ts'
import type { Answer, Change, Target } from '../../src/kube/transport.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { answerObject, type Said, type Sent, type Shelf } from './api-objects.ts'
import type { ApiObject } from './api-server.ts'

/**
 * What happens to a request: carried out; not carried out; carried out, and the answer lost; nothing until it is given up;
 * or another answer, with nothing carried out.
 */
export type Fate = 'usual' | 'refused' | 'lost' | 'hangs' | { readonly status: number; readonly retryAfter?: string; readonly body?: unknown }

export interface Request extends Sent {
  readonly at: number
}

export class MemoryApi implements Shelf {
  readonly requests: Request[] = []
  fate: (request: Request) => Fate = () => 'usual'
  /** Milliseconds from the request to its being carried out, and again to its answer. */
  delayMs: () => number = () => 0
  /** Told of each version of each object. */
  onChange: (path: string, object: ApiObject, gone: boolean) => void = () => {}
  readonly #clock: Clock
  readonly #objects = new Map<string, Map<string, ApiObject>>()
  #revision = 100

  constructor(clock: Clock) {
    this.#clock = clock
  }

  list(path: string): readonly ApiObject[] {
    return [...(this.#objects.get(path)?.values() ?? [])]
  }

  /** `key`: `namespace/name`. */
  find(path: string, key: string): ApiObject | undefined {
    return this.#objects.get(path)?.get(key)
  }

  put(path: string, object: ApiObject): void {
    this.#revision += 1
    const stamped = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#revision) } }
    const objects = this.#objects.get(path) ?? new Map<string, ApiObject>()
    this.#objects.set(path, objects)
    objects.set(`${object.metadata.namespace ?? ''}/${object.metadata.name}`, stamped)
    this.onChange(path, stamped, false)
  }

  remove(path: string, key: string): void {
    const object = this.find(path, key)
    if (object === undefined) return
    this.#revision += 1
    this.#objects.get(path)?.delete(key)
    this.onChange(path, object, true)
  }

  get(target: Target, signal: AbortSignal): Promise<Answer> {
    return this.#ask(target, null, signal)
  }

  send(target: Target, change: Change, signal: AbortSignal): Promise<Answer> {
    return this.#ask(target, change, signal)
  }

  async #ask(target: Target, change: Change | null, signal: AbortSignal): Promise<Answer> {
    if (signal.aborted) throw signal.reason
    const request = { at: this.#clock.now(), method: change?.method ?? 'GET', path: target.path, query: target.query, body: change === null ? '' : JSON.stringify(change.body) }
    this.requests.push(request)
    const fate = this.fate(request)
    if (fate === 'hangs') return this.#never(signal)
    if (fate === 'refused') throw new ApiFailure('Unreachable', 'memory cannot be reached: nobody listens there')
    await this.#pass(signal)
    const said = typeof fate === 'object' ? { status: fate.status, body: fate.body ?? {} } : this.#answer(request)
    if (fate === 'lost') throw new ApiFailure('Unreachable', 'memory cannot be reached: the connection was reset')
    await this.#pass(signal)
    const body = Buffer.from(JSON.stringify(said.body))
    if (said.status > 202) throw statusFailure(said.status, body, 'memory', target, 'none', typeof fate === 'object' ? fate.retryAfter : undefined)
    return { server: 'memory', contentType: 'application/json', body: once(body) }
  }

  #answer(request: Request): Said {
    const said = answerObject(this, request)
    if (said === null) throw new Error(`the test's API does not know ${request.method} ${request.path}`)
    return said
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const ms = this.delayMs()
    if (ms === 0) return
    await new Promise<void>((resolve, reject) => {
      const give = (): void => reject(signal.reason as Error)
      this.#clock.after(ms, () => {
        signal.removeEventListener('abort', give)
        resolve()
      })
      signal.addEventListener('abort', give)
    })
  }

  #never(signal: AbortSignal): Promise<never> {
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  }
}

async function* once(body: Buffer): AsyncGenerator<Buffer, void> {
  yield body
}
