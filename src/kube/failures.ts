// What goes wrong between us and the API server, as an error with a stable code and a sentence for people.
//
// Whoever meets one decides by its code what to do (relist, ask others, wait), and shows its message as a Problem.
// **Invariant:** a message never holds a token or a key, and what the server said in it is short and printable.
import { PicketError } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'
import { printable } from '../lib/show.ts'

export type FailureCode =
  /** Nobody answers: refused, no route, no name, no answer in time. */
  | 'Unreachable'
  | 'CertificateNotTrusted'
  /** Somebody answers, and no TLS comes about for another reason. */
  | 'TlsFailed'
  /** The kubeconfig, a file that it names, or its exec plugin. */
  | 'Credentials'
  /** 401 */
  | 'CredentialsRefused'
  /** 403 */
  | 'PermissionMissing'
  /** 404, or an answer that is no Kubernetes API's. */
  | 'UnknownServer'
  /** 404 of one object: it is not there, or its namespace is not or is going. */
  | 'NotFound'
  /** 409: the object is no longer as it was when the change was computed. */
  | 'Conflict'
  /** 409: there is one already. */
  | 'AlreadyExists'
  /** 410, or a history that went back: list again. */
  | 'Gone'
  /** 400, 422: the server does not take the request. */
  | 'RequestRefused'
  /** 429 */
  | 'Overloaded'
  /** Any other status. */
  | 'ServerError'
  /** An answer that cannot be read. */
  | 'Garbage'
  | 'TooLarge'
  /** Nothing came for too long. */
  | 'Hung'
  /** The connection ended in the middle of an answer. */
  | 'Cut'
  /** A watch that the server ends as soon as it begins. */
  | 'Ended'
  /** Our own mistake. */
  | 'Internal'

export class ApiFailure extends PicketError {
  declare readonly code: FailureCode
  /** What the server asked us to wait, in milliseconds; null where it asked for nothing. */
  readonly retryAfterMs: number | null

  constructor(code: FailureCode, message: string, retryAfterMs: number | null = null) {
    super(code, message)
    this.name = 'ApiFailure'
    this.retryAfterMs = retryAfterMs
  }
}

const OF_SERVER: readonly FailureCode[] = ['Unreachable', 'CertificateNotTrusted', 'TlsFailed', 'Credentials', 'CredentialsRefused', 'Overloaded', 'ServerError', 'Hung', 'Cut']

/** Of the server or the way to it, and not of what was asked: it may be another time, and a change may have been carried out all the same. */
export function isOfServer({ code }: ApiFailure): boolean {
  return OF_SERVER.includes(code)
}

/** Of which a few are everyday life (a server that restarts, a proxy that ends connections) and no Problem. */
const EVERYDAY: readonly FailureCode[] = ['Gone', 'Cut', 'Hung', 'Ended']
const EVERYDAY_FAILURES = 2

/** The Problem of a resource that failed `failures` times in a row; null while that is everyday life. */
export function problemOf(failure: ApiFailure, resource: string, failures: number, synced: boolean): Problem | null {
  if (EVERYDAY.includes(failure.code) && failures <= EVERYDAY_FAILURES) return null
  const now = synced ? 'what was read before stays in force' : 'nothing is written until they are read'
  return {
    code: `Api${failure.code}`,
    severity: 'error',
    object: `API server, ${resource}`,
    message: `${failure.message}; ${now}, and it is tried again`,
  }
}

/** One line of what a server said. */
export function said(text: string): string {
  return printable(text.trim(), 300)
}
