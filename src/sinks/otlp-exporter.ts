// The official OpenTelemetry exporter of logs, driven without the SDK's batches, which drop without a word.
//
// Only otlp.ts loads this file, and only once something is to be sent: the packages below cost memory. The exporter tells what a server
// rejected of what it took to OpenTelemetry's diagnostic log only, in the same moment as it calls back: it is read there.
// **Invariant:** each send() ends within its patience and half a second, whatever the server does.
import { diag, DiagLogLevel } from '@opentelemetry/api'
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http'
import { resourceFromAttributes, type Resource } from '@opentelemetry/resources'
import http from 'node:http'
import https from 'node:https'
import { messageOf } from '../lib/errors.ts'
import { printable } from '../lib/show.ts'
import { logRecordOf } from './otlp-record.ts'
import type { RecordLine } from './sink.ts'

export interface ExporterOptions {
  readonly url: string
  /** PEM; null: the authorities that Node.js comes with. */
  readonly ca: Buffer | null
  /** Milliseconds for an answer. */
  readonly patience: number
}

/** What a server said of all that was sent: how much of it it will never take, and why. */
export interface Answer {
  readonly rejected: number
  readonly why: string
  /** It took none, since it does not like the request as a whole: fewer records may do. */
  readonly isWhole: boolean
}

/** What the exporter's errors have of their own. */
interface ExportError extends Error {
  readonly code?: number | string
  readonly data?: string
}

const GRACE_MS = 500
const KEEP_ALIVE_MS = 30_000
const LONGEST_REASON = 120
/** Too large, or not understood: sent again as it is, it would meet the same. */
const WHOLE_REFUSED: ReadonlySet<unknown> = new Set([400, 413, 422])
/** How the exporter begins, at this version, and what it says of an answer of 429, 502, 503 or 504. */
const PARTIAL = 'Received Partial Success response:'
const RETRYABLE = 'Export failed with retryable status'

/** Of the answer that is being read: set and taken in one turn. */
let partialSuccess: string | null = null

function listen(): void {
  const ignore = (): void => undefined
  const warn = (message: string, ...rest: unknown[]): void => {
    if (message === PARTIAL) partialSuccess = String(rest[0])
  }
  diag.setLogger({ error: ignore, warn, info: ignore, debug: ignore, verbose: ignore }, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
}
listen()

export class OtlpExporter {
  readonly #patience: number
  readonly #agent: http.Agent
  readonly #exporter: OTLPLogExporter
  #resource: { readonly node: string; readonly resource: Resource } | null = null
  #isClosed = false

  constructor({ url, ca, patience }: ExporterOptions) {
    this.#patience = patience
    const options = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, maxSockets: 1 }
    const agent = url.startsWith('https:') ? new https.Agent({ ...options, rejectUnauthorized: true, ...(ca === null ? {} : { ca }) }) : new http.Agent(options)
    // The exporter tries again by itself within its time, also when nobody waits any more.
    const connect = agent.createConnection.bind(agent)
    agent.createConnection = (to, callback) => {
      if (this.#isClosed) throw new Error('it is closed')
      return connect(to, callback)
    }
    this.#agent = agent
    this.#exporter = new OTLPLogExporter({ url, timeoutMillis: patience, concurrencyLimit: 1, httpAgentOptions: () => agent, userAgent: 'picket' })
  }

  /** Rejects where no server took anything, or nobody knows. Calls must not overlap. */
  send(lines: readonly RecordLine[]): Promise<Answer> {
    const records = lines.map((line) => logRecordOf(line, this.#resourceOf(line.record.node)))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.close()
        reject(this.#silence())
      }, this.#patience + GRACE_MS)
      this.#exporter.export(records, ({ code, error }) => {
        clearTimeout(timer)
        const partial = partialSuccess
        partialSuccess = null
        if (code === 0) return resolve({ ...rejectedOf(partial, lines.length), isWhole: false })
        const failure: ExportError = error ?? new Error('the export failed')
        if (WHOLE_REFUSED.has(failure.code)) return resolve({ rejected: lines.length, why: answered(failure), isWhole: true })
        reject(this.#reasonOf(failure))
      })
    })
  }

  /** Lets go of connections at once, also under send(), which then rejects. */
  close(): void {
    this.#isClosed = true
    this.#agent.destroy()
  }

  #reasonOf(failure: ExportError): Error {
    if (typeof failure.code === 'number') return new Error(answered(failure))
    if (failure.message === RETRYABLE) return new Error('the server cannot take records now, it answered HTTP 429, 502, 503 or 504')
    return failure.message === 'Request timed out' ? this.#silence() : new Error(messageOf(failure))
  }

  #silence(): Error {
    return new Error(`no whole answer within ${this.#patience / 1000} s`)
  }

  #resourceOf(node: string): Resource {
    if (this.#resource?.node !== node) {
      this.#resource = { node, resource: resourceFromAttributes({ 'service.name': 'picket', 'host.name': node, 'k8s.node.name': node }) }
    }
    return this.#resource.resource
  }
}

function answered({ code, message, data = '' }: ExportError): string {
  const said = data.trim() === '' ? '' : `: ${printable(data.trim(), LONGEST_REASON)}`
  return `the server answered HTTP ${code} ${printable(message, LONGEST_REASON)}${said}`
}

/** `text`: the partialSuccess of an answer as JSON, of which nothing can be relied on. */
function rejectedOf(text: string | null, sent: number): { readonly rejected: number; readonly why: string } {
  if (text === null) return { rejected: 0, why: '' }
  const { rejectedLogRecords, errorMessage } = (JSON.parse(text) ?? {}) as { readonly rejectedLogRecords?: unknown; readonly errorMessage?: unknown }
  // A number of 64 bits is a text in the JSON form of protobuf.
  const count = typeof rejectedLogRecords === 'number' || typeof rejectedLogRecords === 'string' ? Math.trunc(Number(rejectedLogRecords)) : 0
  const why = typeof errorMessage === 'string' ? `: ${printable(errorMessage, LONGEST_REASON)}` : ''
  const rejected = count > 0 ? Math.min(count, sent) : 0
  return { rejected, why: `the server rejected ${rejected} of ${sent} records${why}` }
}
