// Runs nft text by spawning `nft`, where libnftables cannot be loaded. Text goes over stdin, listings come over stdout.
//
// `nft -j -f -` cannot read a socket pair from Node ("Could not open /dev/stdin"), so listings are arguments.
// **Invariant:** at most one nft of ours lives: one that was killed is gone before the next one starts.
import { spawn } from 'node:child_process'
import { OwnPorts, within, type Run, type RunResult, type Runner } from './runner.ts'

const ARGUMENTS: Readonly<Record<Run['mode'], readonly string[]>> = { commit: ['-f', '-'], check: ['-c', '-f', '-'], json: ['-j', '-n'] }

export class NftProcessRunner implements Runner {
  readonly #command: readonly string[]
  #running: Promise<unknown> = Promise.resolve()
  #kill: (() => void) | null = null
  readonly #ports = new OwnPorts()

  /** `netns`: path of the network namespace that nft works in. */
  constructor(netns?: string) {
    this.#command = netns === undefined ? ['nft'] : ['nsenter', `--net=${netns}`, 'nft']
  }

  async run(run: Run): Promise<RunResult> {
    const end = performance.now() + run.deadline
    if ((await within(this.#running.then(() => true), run.deadline)) === null) {
      return { kind: 'lost', message: 'the nft process that was killed before still lives' }
    }
    const ended = this.#spawn(run)
    this.#running = ended
    const result = await within(ended, end - performance.now())
    if (result !== null) return result
    this.#kill?.()
    return { kind: 'lost', message: `nft did not end within ${run.deadline} ms and was killed` }
  }

  isOwnPort(port: number): boolean {
    return this.#ports.has(port)
  }

  async close(): Promise<void> {
    this.#kill?.()
    await this.#running
  }

  #spawn(run: Run): Promise<RunResult> {
    const [file, ...rest] = this.#command as [string, ...string[]]
    const args = [...rest, ...ARGUMENTS[run.mode], ...(run.mode === 'json' ? [run.text] : [])]
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    // The kernel gives a process's first netlink socket the process id for a port id, where that is free.
    if (child.pid !== undefined) this.#ports.add([child.pid])
    const printed: Buffer[] = []
    const said: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => printed.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => said.push(chunk))
    // nft may end before it has read everything (EPIPE); its exit status says why.
    child.stdin.on('error', () => undefined)
    child.stdin.end(run.mode === 'json' ? '' : run.text)
    this.#kill = () => void child.kill('SIGKILL')
    return new Promise((resolve) => {
      child.once('error', (error) => {
        // Never started: nothing can have changed.
        if (child.pid === undefined) resolve({ kind: 'failed', output: `Error: ${file} cannot be started: ${error.message}` })
      })
      child.once('close', (code, signal) => {
        this.#kill = null
        if (code === 0) resolve({ kind: 'done', output: Buffer.concat(printed).toString() })
        else if (code !== null) resolve({ kind: 'failed', output: Buffer.concat(said).toString() })
        else resolve({ kind: 'lost', message: `nft was ended by ${signal}` })
      })
    })
  }
}

/** `v1.0.6 (Lester Gooch #5)`; null where there is no `nft`. */
export async function nftVersion(): Promise<string | null> {
  return await new Promise((resolve) => {
    const child = spawn('nft', ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] })
    let printed = ''
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    child.once('error', () => resolve(null))
    child.once('close', (code) => resolve(code === 0 ? printed.trim().replace(/^nftables /, '') : null))
  })
}
