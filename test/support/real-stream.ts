// Streams between pods of a real cluster: stream.ts started in their namespaces, asked, and ended.
//
// **Invariant:** whoever starts one ends it; a program that ends by itself fails the next question.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { RealCluster } from './real-cluster.ts'
import { pause } from './real-wire.ts'

const STREAM = fileURLToPath(new URL('./stream.ts', import.meta.url))

export interface Received {
  readonly messages: number
  /** Milliseconds since 1970; 0 where nothing came. */
  readonly lastAt: number
}

class Program {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(cluster: RealCluster, where: string, args: readonly string[]) {
    const netns = cluster.testbed.netnsOf(cluster.source(where))
    this.#child = spawn('nsenter', [`--net=${netns}`, '--', process.execPath, STREAM, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = readline.createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    assert.ok(done !== true, 'the stream ended by itself')
    return value
  }

  ask(): Promise<string> {
    this.#child.stdin?.write('?\n')
    return this.line()
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  close(): void {
    this.#child.kill('SIGKILL')
  }
}

/** Streams from there to whoever asks, on both families. */
export async function streamServer(cluster: RealCluster, where: string, kind: 'udp' | 'tcp', port: number): Promise<{ close(): void }> {
  const program = new Program(cluster, where, ['serve', kind, String(port)])
  assert.equal(await program.line(), 'ready')
  return program
}

export class StreamClient {
  readonly #program: Program

  constructor(cluster: RealCluster, where: string, kind: 'udp' | 'tcp', address: string, port: number, fromPort = 0) {
    this.#program = new Program(cluster, where, ['receive', kind, address, String(port), String(fromPort)])
  }

  async received(): Promise<Received> {
    return JSON.parse(await this.#program.ask()) as Received
  }

  /** Says something again. */
  send(): void {
    this.#program.kill('SIGUSR2')
  }

  /** How many messages came in a while. */
  async progress(ms: number): Promise<number> {
    const before = await this.received()
    await pause(ms)
    return (await this.received()).messages - before.messages
  }

  async flows(): Promise<void> {
    for (const until = Date.now() + 3_000; (await this.received()).messages < 20; ) {
      assert.ok(Date.now() < until, 'the stream does not begin')
      await pause(10)
    }
  }

  close(): void {
    this.#program.close()
  }
}
