// An agent's stream on a unix socket, in the test's own process: GET /flows as serve/ answers it, with records that tests put in.
//
// **Invariant:** a query is read by the same code as an agent's, and what does not match never goes out.
import { once } from 'node:events'
import http from 'node:http'
import { matches } from '../../src/flows/filter.ts'
import { parseQuery, type FlowQuery } from '../../src/flows/query.ts'
import type { AuditRecord } from '../../src/flows/record.ts'
import { messageOf } from '../../src/lib/errors.ts'

export class FlowServer {
  /** What was asked, path and query. */
  readonly asked: string[] = []
  /** In place of the stream. */
  answer: readonly [status: number, body: string] | null = null
  readonly #server: http.Server
  readonly #remembered: AuditRecord[] = []
  readonly #readers = new Map<http.ServerResponse, FlowQuery>()

  private constructor(server: http.Server) {
    this.#server = server
    server.on('request', (request, response) => this.#handle(request, response))
  }

  static async listen(socket: string): Promise<FlowServer> {
    const server = http.createServer()
    server.listen(socket)
    await once(server, 'listening')
    return new FlowServer(server)
  }

  get readers(): number {
    return this.#readers.size
  }

  add(...records: readonly AuditRecord[]): void {
    for (const record of records) {
      this.#remembered.push(record)
      for (const [response, { filter }] of this.#readers) if (matches(filter, record)) response.write(`${JSON.stringify(record)}\n`)
    }
  }

  /** A line as it is, to all who follow. */
  write(text: string): void {
    for (const response of this.#readers.keys()) response.write(text)
  }

  forget(): void {
    this.#remembered.length = 0
  }

  /** Every connection ends in the middle. */
  cut(): void {
    this.#readers.clear()
    this.#server.closeAllConnections()
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.cut()
    await closed
  }

  #handle({ url = '' }: http.IncomingMessage, response: http.ServerResponse): void {
    this.asked.push(url)
    if (this.answer !== null) return void response.writeHead(this.answer[0]).end(this.answer[1])
    let query: FlowQuery
    try {
      query = parseQuery(new URL(url, 'http://agent').searchParams, Date.now())
    } catch (error) {
      return void response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: messageOf(error) }))
    }
    const { follow, since, last, filter } = query
    const wanted = this.#remembered.filter((record) => matches(filter, record) && (since === null || Date.parse(record.time) >= since))
    const shown = follow && since === null && last === null ? [] : last === null ? wanted : wanted.slice(Math.max(0, wanted.length - last))
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.flushHeaders()
    for (const record of shown) response.write(`${JSON.stringify(record)}\n`)
    if (!follow) return void response.end()
    this.#readers.set(response, query)
    response.once('close', () => this.#readers.delete(response))
  }
}
