// What a TCP connection owes: it is made, goes on and does not break for as long as every possible state allows it.
//
// Retransmissions hide what is lost for a while, so that a connection is judged by how long it stands still.
// **Invariant:** nothing is asked of a connection from the first moment on at which some possible state denied it.

/** Longer than the retransmissions of one lost packet, on a busy machine. */
export const STANDSTILL_MS = 3_000

export interface Connection {
  readonly flow: number
  readonly connection: number
  readonly begunAt: number
  connectedAt: number | null
  /** When each message came back. */
  readonly echoes: number[]
  end: { readonly at: number; readonly error: string | null } | null
}

export type Breach = 'not made' | 'stood still' | 'broken'

/** `allowedUntil`: up to which moment every possible state allowed it, from its beginning on. */
export function judgeConnection(connection: Connection, allowedUntil: number): Breach | null {
  const { begunAt, connectedAt, echoes, end } = connection
  const until = Math.min(allowedUntil, end?.at ?? Infinity)
  if (end !== null && end.error !== null && end.at <= allowedUntil) return connectedAt === null ? 'not made' : 'broken'
  if (connectedAt === null || connectedAt > until) return until - begunAt >= STANDSTILL_MS ? 'not made' : null
  const moments = [connectedAt, ...echoes.filter((at) => at <= until), until]
  return moments.some((at, i) => at - (moments[i - 1] ?? at) >= STANDSTILL_MS) ? 'stood still' : null
}
