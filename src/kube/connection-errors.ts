// What the network, TLS and undici throw -> an ApiFailure in clear words.
//
// **Invariant:** every error becomes a failure that names the server; nothing is thrown here.
import { messageOf } from '../lib/errors.ts'
import { ApiFailure, said } from './failures.ts'

/** What goes wrong before an answer begins, by the error's code. */
const NO_ANSWER: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there (connection refused)',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  ENOTFOUND: 'the name is not known (DNS)',
  EAI_AGAIN: 'the name cannot be looked up at present (DNS)',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no route to the network',
  ETIMEDOUT: 'no answer in time',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'connected, and no answer in time',
  UND_ERR_SOCKET: 'the connection was closed before an answer',
}

const NOT_TRUSTED: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it is signed by none of the trusted authorities',
  UNABLE_TO_GET_ISSUER_CERT: 'its issuer is none of the trusted authorities',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its issuer is none of the trusted authorities',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is none of the trusted ones',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself',
  CERT_SIGNATURE_FAILURE: 'its signature is not that of the trusted authority (another authority of the same name?)',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: "it is not valid yet (is this machine's clock right?)",
  CERT_REVOKED: 'it was revoked',
  CERT_UNTRUSTED: 'it is not trusted',
  INVALID_CA: 'its authority may not sign',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for other names',
}

const AUTHORITY = 'expected one that certificate-authority in the kubeconfig (in a pod: ca.crt of the service account) stands for'

/** Of a request that got no answer. */
export function connectionFailure(error: unknown, server: string): ApiFailure {
  if (error instanceof ApiFailure) return error
  const { code, message } = innermost(error)
  const untrusted = NOT_TRUSTED[code]
  if (untrusted !== undefined) {
    const names = code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? ` (${said(message)})` : ''
    return new ApiFailure('CertificateNotTrusted', `the certificate of ${server} is not trusted: ${untrusted}${names}; ${AUTHORITY}`)
  }
  if (code.startsWith('ERR_OSSL') || message.startsWith('SSL_CTX_')) {
    return new ApiFailure('Credentials', `the client certificate, its key, or the authority of ${server} cannot be used: ${said(message)}; expected PEM, and a key that fits`)
  }
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || code === 'EPROTO') {
    const hint = code.includes('WRONG_VERSION_NUMBER') || code === 'EPROTO' ? ' (does it speak HTTPS?)' : ''
    const why = code.includes('ALERT') ? 'it does not take our client certificate, or wants one' : `no TLS with it${hint}`
    return new ApiFailure('TlsFailed', `${server}: ${why}: ${said(message)}`)
  }
  return new ApiFailure('Unreachable', `${server} cannot be reached: ${NO_ANSWER[code] ?? said(message)}`)
}

/** Of an answer that had begun. */
export function bodyFailure(error: unknown, server: string, quietMs: number): ApiFailure {
  if (error instanceof ApiFailure) return error
  const { code, message } = innermost(error)
  if (code === 'UND_ERR_BODY_TIMEOUT') return new ApiFailure('Hung', `${server} has sent nothing for ${quietMs / 1000} s`)
  return new ApiFailure('Cut', `the connection to ${server} ended in the middle of an answer: ${NO_ANSWER[code] === undefined ? said(message) : NO_ANSWER[code]}`)
}

/** Below undici's wrappers, and the first of several attempts by address. */
function innermost(error: unknown): { readonly code: string; readonly message: string } {
  let at = error
  for (let depth = 0; depth < 5 && at instanceof Error; depth += 1) {
    const inner: unknown = at instanceof AggregateError ? at.errors[0] : at.cause
    if (!(inner instanceof Error)) break
    at = inner
  }
  const code = (at as NodeJS.ErrnoException | null)?.code
  return { code: typeof code === 'string' ? code : '', message: messageOf(at) }
}
