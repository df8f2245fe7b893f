// What the API server is and can do: its version, and whether it has WatchList. Asked once, remembered for all resources.
//
// **Invariant:** WatchList is asked for only where the version says that it may be there: a server that does not know
// the parameter ignores it, and then nothing ends the initial events.
import type { Problem } from '../lib/problem.ts'
import { show } from '../lib/show.ts'
import { ApiFailure, said } from './failures.ts'
import type { Transport } from './transport.ts'

/** Minor version of Kubernetes 1: the oldest that is tested. */
const OLDEST_MINOR = 32
const MOST_BYTES = 64 * 1024

export class Server {
  readonly #transport: Transport
  readonly #onProblem: () => void
  #version: Promise<string | null> | null = null
  #watchList: 'maybe' | 'yes' | 'no' = 'maybe'
  #problem: Problem | null = null
  #text: string | null = null

  constructor(transport: Transport, onProblem: () => void) {
    this.#transport = transport
    this.#onProblem = onProblem
  }

  /** `v1.37.2`; null where it was not said yet, or cannot be read. */
  get version(): string | null {
    return this.#text
  }

  get problem(): Problem | null {
    return this.#problem
  }

  get watchList(): 'maybe' | 'yes' | 'no' {
    return this.#watchList
  }

  /** Whether to ask for WatchList. ApiFailure where the server does not answer at all. */
  async wantsWatchList(signal: AbortSignal): Promise<boolean> {
    this.#version ??= this.#ask(signal).catch((error: unknown) => {
      this.#version = null
      throw error
    })
    await this.#version
    return this.#watchList !== 'no'
  }

  hasWatchList(): void {
    this.#watchList = 'yes'
  }

  /** It said that it has none. */
  hasNoWatchList(): void {
    this.#watchList = 'no'
  }

  async #ask(signal: AbortSignal): Promise<string | null> {
    let text: string
    try {
      text = await readVersion(this.#transport, signal)
    } catch (error) {
      if (!(error instanceof ApiFailure) || (error.code !== 'UnknownServer' && error.code !== 'PermissionMissing' && error.code !== 'Garbage')) throw error
      return this.#unknown(error.message)
    }
    const [, minor] = /^v1\.(\d{1,4})/.exec(text) ?? []
    if (minor === undefined) return this.#unknown(`it says version ${show(text)}`)
    this.#text = said(text)
    if (Number(minor) < OLDEST_MINOR) {
      this.#watchList = 'no'
      this.#warn(`found Kubernetes ${this.#text}, expected v1.${OLDEST_MINOR} or later; it is used as it is`)
    }
    return this.#text
  }

  #unknown(why: string): null {
    this.#watchList = 'no'
    this.#warn(`its version is not known: ${why}; expected Kubernetes v1.${OLDEST_MINOR} or later; lists are read in pages`)
    return null
  }

  #warn(message: string): void {
    this.#problem = { code: 'ApiServerVersion', severity: 'warning', object: 'API server', message }
    this.#onProblem()
  }
}

async function readVersion(transport: Transport, signal: AbortSignal): Promise<string> {
  const { body, server } = await transport.get({ verb: 'get', resource: null, path: '/version', query: {} }, signal)
  const parts: Buffer[] = []
  let length = 0
  for await (const part of body) {
    parts.push(part)
    length += part.length
    if (length > MOST_BYTES) throw new ApiFailure('Garbage', `${server} gives no version of Kubernetes`)
  }
  try {
    const { gitVersion } = JSON.parse(Buffer.concat(parts).toString('utf8')) as { readonly gitVersion?: unknown }
    if (typeof gitVersion === 'string') return gitVersion
  } catch {
    // Said below.
  }
  throw new ApiFailure('Garbage', `${server} gives no version of Kubernetes`)
}
