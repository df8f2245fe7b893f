// An agent's socket with its audit stream, in the test's own process, with records that tests put in.
//
// **Invariant:** socket and stream are the agent's own code; only what a test breaks on purpose is the test's.
import type http from 'node:http'
import { lineOf } from '../../src/flows/line.ts'
import type { AuditRecord } from '../../src/flows/record.ts'
import { FlowStream } from '../../src/serve/flows.ts'
import { openSocket, type AgentSocket } from '../../src/serve/socket.ts'

export class FlowServer {
  /** What was asked, path and query. */
  readonly asked: string[] = []
  /** In place of the stream. */
  answer: readonly [status: number, body: string] | null = null
  #socket: AgentSocket | null = null
  #stream = new FlowStream({ node: 'node-a' })
  readonly #responses = new Set<http.ServerResponse>()

  static async listen(file: string): Promise<FlowServer> {
    const server = new FlowServer()
    const streams = { '/flows': (request: http.IncomingMessage, response: http.ServerResponse) => server.#handle(request, response) }
    server.#socket = await openSocket(file, { status: () => ({}), notReady: () => null, covers: () => false, asked: {}, streams })
    return server
  }

  get readers(): number {
    return this.#stream.state().readers
  }

  add(...records: readonly AuditRecord[]): void {
    for (const record of records) this.#stream.write(lineOf(record))
  }

  /** A line as it is, to all who follow. */
  write(text: string): void {
    for (const response of this.#responses) response.write(text)
  }

  /** As an agent that is started anew: connections break, and nothing is remembered. */
  forget(): void {
    this.cut()
    this.#stream = new FlowStream({ node: 'node-a' })
  }

  /** Every connection ends in the middle. */
  cut(): void {
    for (const response of this.#responses) response.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    await this.#socket?.close()
  }

  #handle(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.asked.push(request.url ?? '')
    if (this.answer !== null) return void response.writeHead(this.answer[0]).end(this.answer[1])
    this.#responses.add(response)
    response.once('close', () => this.#responses.delete(response))
    this.#stream.handle(request, response)
  }
}
