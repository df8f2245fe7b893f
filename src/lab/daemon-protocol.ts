// What the lab's commands and its daemon say to each other: a line of JSON each way, over a unix socket.
//
// The client sends one Request; the daemon answers with any number of progress lines, and then one result or error.
// **Invariant:** an error crosses with its code and exit status, so that it reads the same as if it had happened here.
import net from 'node:net'
import { PicketError, type ExitStatus } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'
import type { MatrixCell } from './matrix.ts'

export type Request =
  /** Answered once the folder's state is enforced. */
  | { readonly command: 'state' }
  | { readonly command: 'matrix'; readonly port: string | null; readonly namespace: string | null }
  | { readonly command: 'probe'; readonly from: string; readonly to: string; readonly port: string }
  | { readonly command: 'where'; readonly who: string }
  | { readonly command: 'down' }

export interface LabState {
  readonly folder: string
  readonly nodes: readonly { readonly name: string; readonly addresses: readonly string[]; readonly pods: number }[]
  readonly pods: readonly LabPod[]
  readonly services: readonly LabService[]
  readonly policies: number
  /** What agents report, and what the lab itself could not do. */
  readonly problems: readonly { readonly problem: Problem; readonly nodes: readonly string[] }[]
  readonly notes: readonly string[]
}

export interface LabService {
  readonly key: string
  readonly type: string
  /** ClusterIPs. */
  readonly addresses: readonly string[]
  /** Of load balancers, and externalIPs. */
  readonly external: readonly string[]
  /** `80/tcp` */
  readonly ports: readonly string[]
  /** `30080/tcp`, on every node. */
  readonly nodePorts: readonly string[]
}

export interface LabPod {
  readonly key: string
  readonly node: string
  readonly addresses: readonly string[]
  /** `8080/tcp` */
  readonly ports: readonly string[]
  /** It is a part of its node's network. */
  readonly hostNetwork: boolean
}

export interface ProbeAnswer {
  readonly from: string
  readonly to: string
  readonly port: string
  readonly reaches: boolean
  readonly probes: readonly { readonly address: string; readonly result: 'reaches' | 'denied' | 'rejected'; readonly by: string | null; readonly ms: number | null; readonly message: string | null }[]
}

export interface Answers {
  readonly state: LabState
  readonly matrix: { readonly cells: readonly MatrixCell[]; readonly problems: LabState['problems'] }
  readonly probe: ProbeAnswer
  readonly where: { readonly netns: string }
  readonly down: { readonly done: true }
}

export type Reply =
  | { readonly kind: 'progress'; readonly text: string }
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'error'; readonly code: string; readonly message: string; readonly exit: ExitStatus }

/** Asks the daemon behind `socket`. Rejects with its PicketError, or with one of code NoLab where nobody answers. */
export function ask<R extends Request>(socket: string, request: R, onProgress: (text: string) => void = () => {}): Promise<Answers[R['command']]> {
  return new Promise((resolve, reject) => {
    const connection = net.connect(socket)
    connection.on('error', (error: NodeJS.ErrnoException) => reject(new PicketError('NoLab', `no lab is up behind ${socket} (${error.code ?? error.message}); "picket lab up -f DIR" starts one`)))
    connection.on('connect', () => connection.write(`${JSON.stringify(request)}\n`))
    connection.on('close', () => reject(new PicketError('LabDied', 'the lab ended before it answered')))
    onLines(connection, (line) => {
      const reply = JSON.parse(line) as Reply
      if (reply.kind === 'progress') return onProgress(reply.text)
      if (reply.kind === 'result') resolve(reply.value as Answers[R['command']])
      else reject(new PicketError(reply.code, reply.message, reply.exit))
      connection.end()
    })
  })
}

/** Whether a daemon listens there. */
export function isUp(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = net.connect(socket)
    connection.on('error', () => resolve(false))
    connection.on('connect', () => {
      connection.destroy()
      resolve(true)
    })
  })
}

/** Calls `onLine` with each whole line that arrives. */
export function onLines(connection: net.Socket, onLine: (line: string) => void): void {
  let rest = ''
  connection.setEncoding('utf8')
  connection.on('data', (part: string) => {
    const lines = (rest + part).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') onLine(line)
  })
}
