// Lines for iproute2 -> few processes: one `ip -batch` at a time for each namespace, with all that came meanwhile.
//
// **Invariant:** the lines of one namespace run in the order in which they were given; a line that fails fails only the
// call that gave it. Nothing is ever run in the machine's own namespace but `netns add` and `netns delete`.
import { spawn } from 'node:child_process'
import { PicketError } from '../lib/errors.ts'

export type IpLine =
  | { readonly kind: 'run'; readonly text: string; /** Whatever it removes may be gone already. */ readonly mayFail?: boolean }
  /** A link that may be gone already. Neighbours in the queue are deleted together: 30 ms each, or 30 ms for all. */
  | { readonly kind: 'delete-link'; readonly name: string }

interface Call {
  readonly lines: readonly IpLine[]
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Any number that nobody else gives to links: those that wait for their deletion. */
const DELETED_GROUP = 7061

export class IpBatch {
  /** Of the namespace; null for the machine's own. */
  readonly #netns: string | null
  #queue: Call[] = []
  #running = false

  constructor(netns: string | null) {
    this.#netns = netns
  }

  /** Resolves when all lines were run; rejects with a PicketError of the first that failed. */
  run(lines: readonly IpLine[]): Promise<void> {
    if (lines.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#queue.push({ lines, resolve, reject })
      if (this.#running) return
      this.#running = true
      setImmediate(() => void this.#drain())
    })
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const calls = this.#queue
      this.#queue = []
      const rendered = renderBatch(calls.map((call) => call.lines))
      try {
        const failures = parseFailures(await runIp(this.#netns, rendered.map((line) => line.text).join('\n')), rendered)
        calls.forEach((call, index) => {
          const failure = failures.get(index)
          if (failure === undefined) call.resolve()
          else call.reject(new PicketError('IpFailed', `ip${this.#netns === null ? '' : ` -n ${this.#netns}`} ${failure}`))
        })
      } catch (error) {
        for (const call of calls) call.reject(error as Error)
      }
    }
    this.#running = false
  }
}

interface RenderedLine {
  readonly text: string
  readonly call: number
  readonly mayFail: boolean
}

/** The text of several calls' lines; runs of deletions become one deletion of a group. Exported for tests. */
export function renderBatch(calls: readonly (readonly IpLine[])[]): readonly RenderedLine[] {
  const out: RenderedLine[] = []
  let deleting = false
  const endDeletion = (call: number): void => {
    if (deleting) out.push({ text: `link delete group ${DELETED_GROUP}`, call, mayFail: true })
    deleting = false
  }
  calls.forEach((lines, call) => {
    for (const line of lines) {
      if (line.kind === 'delete-link') {
        out.push({ text: `link set dev ${line.name} group ${DELETED_GROUP}`, call, mayFail: true })
        deleting = true
      } else {
        endDeletion(call)
        out.push({ text: line.text, call, mayFail: line.mayFail ?? false })
      }
    }
  })
  endDeletion(calls.length - 1)
  return out
}

/** Call -> its first failure. `errors` is what `ip -force -batch` wrote: messages, each followed by `Command failed -:LINE`. */
export function parseFailures(errors: string, rendered: readonly RenderedLine[]): ReadonlyMap<number, string> {
  const failures = new Map<number, string>()
  let message: string[] = []
  for (const text of errors.split('\n')) {
    const number = /^Command failed .*:(\d+)$/.exec(text)?.[1]
    if (number === undefined) {
      if (text.trim() !== '') message.push(text.trim())
      continue
    }
    const line = rendered[Number(number) - 1]
    if (line !== undefined && !line.mayFail && !failures.has(line.call)) failures.set(line.call, `${line.text}: ${message.join('; ')}`)
    message = []
  }
  return failures
}

/** What `ip` wrote to standard error. */
function runIp(netns: string | null, text: string): Promise<string> {
  const args = [...(netns === null ? [] : ['-n', netns]), '-force', '-batch', '-']
  return new Promise((resolve, reject) => {
    const child = spawn('ip', args, { stdio: ['pipe', 'ignore', 'pipe'] })
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (piece: string) => (errors += piece))
    child.on('error', (error: NodeJS.ErrnoException) => {
      const missing = error.code === 'ENOENT'
      reject(missing ? new PicketError('MissingProgram', 'ip: not found; install iproute2 (apt-get install iproute2)') : error)
    })
    child.on('close', (code) => {
      if (code !== 0 && errors === '') reject(new PicketError('IpFailed', `ip ${args.join(' ')} ended with ${code}`))
      else if (code !== 0 && !errors.includes('Command failed')) reject(new PicketError('IpFailed', `ip ${args.join(' ')}: ${errors.trim()}`))
      else resolve(errors)
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(`${text}\n`)
  })
}
