// The daemon of `picket lab up`: owns a playground and answers the lab's other commands on a unix socket.
//
// Requests (daemon-protocol.ts) -> playground.ts. **Invariant:** it ends in one way only, whatever ends it: agents,
// namespaces, socket and folder are gone before the process is.
import fs from 'node:fs'
import net from 'node:net'
import { messageOf, PicketError } from '../lib/errors.ts'
import { onLines, type Reply, type Request } from './daemon-protocol.ts'
import { endLeftovers } from './remains.ts'
import type { LabPlaces } from './places.ts'
import { Playground, type PlaygroundOptions } from './playground.ts'

/** Runs until `down`, SIGTERM or SIGINT, or until the playground cannot be made. */
export async function runDaemon(places: LabPlaces, options: Omit<PlaygroundOptions, 'places' | 'onProgress'>): Promise<void> {
  const daemon = new Daemon(places)
  process.on('SIGTERM', () => void daemon.end())
  process.on('SIGINT', () => void daemon.end())
  await daemon.listen()
  daemon.begin(Playground.open({ ...options, places, onProgress: (text) => daemon.progress(text) }))
  await daemon.ended
}

class Daemon {
  readonly #places: LabPlaces
  readonly #server: net.Server
  readonly #waiting = new Set<net.Socket>()
  #playground: Promise<Playground> | null = null
  #ending: Promise<void> | null = null
  #resolveEnded = (): void => {}
  readonly ended = new Promise<void>((resolve) => {
    this.#resolveEnded = resolve
  })

  constructor(places: LabPlaces) {
    this.#places = places
    this.#server = net.createServer((connection) => this.#serve(connection))
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.on('error', reject)
      this.#server.listen(this.#places.socket, () => {
        // Whoever may talk to the daemon may run commands in its namespaces.
        fs.chmodSync(this.#places.socket, 0o600)
        resolve()
      })
    })
  }

  begin(playground: Promise<Playground>): void {
    this.#playground = playground
    playground.catch((error: unknown) => {
      console.error(messageOf(error))
      // Those who wait get the error first.
      setImmediate(() => void this.end())
    })
  }

  progress(text: string): void {
    for (const connection of this.#waiting) send(connection, { kind: 'progress', text })
  }

  end(): Promise<void> {
    this.#ending ??= this.#close()
    return this.#ending
  }

  async #close(): Promise<void> {
    try {
      const playground = await this.#playground?.catch(() => null)
      await playground?.close()
      await endLeftovers(this.#places)
    } catch (error) {
      console.error(messageOf(error))
    }
    this.#server.close()
    this.#resolveEnded()
  }

  #serve(connection: net.Socket): void {
    connection.on('error', () => connection.destroy())
    connection.on('close', () => this.#waiting.delete(connection))
    onLines(connection, (line) => {
      this.#waiting.add(connection)
      void this.#answer(JSON.parse(line) as Request).then(
        (value) => finish(connection, { kind: 'result', value }),
        (error: unknown) => {
          const known = error instanceof PicketError ? error : new PicketError('Internal', error instanceof Error ? (error.stack ?? error.message) : String(error))
          finish(connection, { kind: 'error', code: known.code, message: known.message, exit: known.exit })
        },
      )
    })
  }

  async #answer(request: Request): Promise<unknown> {
    if (request.command === 'down') {
      await this.end()
      return { done: true }
    }
    const playground = await this.#playground
    if (playground === null) throw new PicketError('NoLab', 'the lab has not begun yet')
    switch (request.command) {
      case 'state':
        return playground.state()
      case 'matrix':
        return playground.matrix(request.port, request.namespace)
      case 'probe':
        return playground.probe(request.from, request.to, request.port)
      case 'where':
        return playground.where(request.who)
    }
  }
}

function send(connection: net.Socket, reply: Reply): void {
  if (!connection.destroyed) connection.write(`${JSON.stringify(reply)}\n`)
}

function finish(connection: net.Socket, reply: Reply): void {
  send(connection, reply)
  connection.end()
}
