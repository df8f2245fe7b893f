// HTTP requests with curl out of a pod, a node or the outside host, and what came of them.
//
// **Invariant:** no answer is an answer: status 0. What keeps curl from asking at all is an error.
import { PicketError } from '../../src/lib/errors.ts'
import { runIn, type Room } from './processes.ts'

/** Where it is asked from: a room of the cluster, or a pod by the path of its network namespace. */
export type Place = Room | { readonly path: string }

export interface Target {
  readonly address: string
  readonly port: number
  readonly host: string
  readonly path: string
}

export interface Answer {
  /** 0: none came. */
  readonly status: number
  readonly body: string
  /** For whom the server took the client, where it says so. */
  readonly client: string | null
}

/** How long a machine under load may take for an answer; one that is refused takes no time, one that is dropped all of it. */
const PATIENCE_S = 10
/** curl's: could not connect, timed out, empty reply, connection reset. */
const NO_ANSWER = [7, 28, 52, 56]

export async function get(from: Place, { address, port, host, path }: Target, patience = PATIENCE_S): Promise<Answer> {
  const where = address.includes(':') ? `[${address}]` : address
  const curl = ['curl', '-sS', '-i', '--noproxy', '*', '-m', String(patience), '--resolve', `${host}:${port}:${where}`, `http://${host}:${port}${path}`]
  const [room, args] = 'path' in from ? [null, ['nsenter', `--net=${from.path}`, ...curl]] : [from, curl]
  const { status, stdout, stderr } = await runIn(room, args)
  if (NO_ANSWER.includes(status ?? 0)) return { status: 0, body: '', client: null }
  if (status !== 0) throw new PicketError('ClusterFailed', `${args.join(' ')}: ended with ${status}: ${stderr.trim()}`)
  const [head = '', ...rest] = stdout.split('\r\n\r\n')
  return { status: Number(/^HTTP\/\S+ (\d+)/.exec(head)?.[1]), body: rest.join('\r\n\r\n').trim(), client: /^x-client: (\S+)/im.exec(head)?.[1] ?? null }
}
