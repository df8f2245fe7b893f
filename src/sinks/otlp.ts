// Records to an OpenTelemetry collector: OTLP over HTTP and HTTPS, in JSON.
//
// A server acknowledges each request: what it did not answer is sent again, and may come twice. What it will never take is lost, counted
// and told. **Invariant:** OpenTelemetry's packages are loaded by the first record that is sent, never by an agent without this sink.
import fs from 'node:fs/promises'
import { messageOf } from '../lib/errors.ts'
import type { OtlpExporter } from './otlp-exporter.ts'
import type { QueuedLine } from './queue.ts'
import { QueuedSink, type SinkOptions, type Taken, type Way } from './queued-sink.ts'
import type { SinkEvents } from './sink.ts'

export interface OtlpOptions {
  readonly name: string
  /** `https://HOST:4318/v1/logs` */
  readonly url: string
  /** Path; read anew after each failure, since authorities change. */
  readonly ca: string | null
  /** Milliseconds, for an answer. */
  readonly patience?: number
}

/** Of lines; with attributes and escapes it is about three times as much. */
const CHUNK = 128 * 1024
const PATIENCE_MS = 5000

export function openOtlp(otlp: OtlpOptions, events: SinkEvents, options: SinkOptions = {}): QueuedSink {
  return new QueuedSink(otlp.name, new OtlpWay(otlp), events, options)
}

class OtlpWay implements Way {
  readonly chunk = CHUNK
  readonly #options: OtlpOptions
  #exporter: OtlpExporter | null = null
  /** Records in one request: fewer, after a server refused one as a whole. */
  #most = Infinity
  #isClosed = false

  constructor(options: OtlpOptions) {
    this.#options = options
  }

  async write(lines: readonly QueuedLine[]): Promise<Taken> {
    for (;;) {
      const some = lines.slice(0, this.#most)
      const { rejected, why, isWhole } = await this.#send(some)
      if (!isWhole) {
        this.#most *= 2
        return { count: some.length, rejected, why }
      }
      // One of them may be what it does not like.
      if (some.length === 1) return { count: 1, rejected, why }
      this.#most = Math.ceil(some.length / 2)
    }
  }

  close(): Promise<void> {
    this.#isClosed = true
    this.#letGo()
    return Promise.resolve()
  }

  async #send(lines: readonly QueuedLine[]) {
    try {
      const exporter = (this.#exporter ??= await this.#open())
      if (this.#isClosed) throw new Error('it is closed')
      return await exporter.send(lines.map(({ line }) => line))
    } catch (error) {
      this.#letGo()
      throw error
    }
  }

  async #open(): Promise<OtlpExporter> {
    const { url, ca, patience = PATIENCE_MS } = this.#options
    const authorities = ca === null ? null : await fs.readFile(ca).catch((error: unknown) => {
      throw new Error(`ca: ${messageOf(error)}; expected a readable file in PEM`)
    })
    const { OtlpExporter: Exporter } = await import('./otlp-exporter.ts')
    return new Exporter({ url, ca: authorities, patience })
  }

  #letGo(): void {
    this.#exporter?.close()
    this.#exporter = null
  }
}
