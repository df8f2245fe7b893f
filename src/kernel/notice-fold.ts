// nf_tables notifications -> one post for each commit that changed our table: whose it was, and which chains it named.
//
// The pure half of the worker that listens (notices-worker.ts): commits of other tables leave nothing behind, however
// many there are, but for their number, and neither does what packets change (port 0).
// **Invariant:** a commit that named the table is posted once, at its end; a loss is posted as a doubt, never passed over, and
// so is a commit that was never told (generations.ts).
import { messagesIn, type NetlinkMessage } from '../netlink/messages.ts'
import { decodeNftables, isOfElements } from '../netlink/nftables.ts'
import { Generations } from './generations.ts'

export interface NoticePost {
  readonly kind: 'commit'
  /** Port id of the socket that asked for it. */
  readonly port: number
  /** `nft (process 123)` */
  readonly by: string
  /** Chains whose rules it changed; 'all' where they are many. */
  readonly chains: readonly string[] | 'all'
  /** For how many milliseconds before this post something else may have happened that was not posted yet. */
  readonly sinceMs: number
}

export interface DoubtPost {
  readonly kind: 'doubt'
  readonly reason: string
  readonly sinceMs: number
}

const MOST_CHAINS = 256

export class NoticeFold {
  readonly #family: string
  readonly #table: string
  readonly #post: (post: NoticePost | DoubtPost) => void
  /** Open commits by port: the messages of one commit follow each other, but a datagram may end in between. */
  readonly #open = new Map<number, Set<string>>()
  readonly #generations = new Generations()
  /** Up to then everything was told. */
  #certain: number

  /** From `now`, in milliseconds of the monotonic clock, on nothing may be missed. */
  constructor(family: string, table: string, now: number, post: (post: NoticePost | DoubtPost) => void) {
    this.#family = family
    this.#table = table
    this.#certain = now
    this.#post = post
  }

  /** Read at `now`; `empty`: since then the socket may have held something that was not read yet. */
  datagram(bytes: Uint8Array, now: number, empty: number): void {
    try {
      for (const message of messagesIn(bytes, (type, port) => this.#saysMore(type, port))) this.#message(message, now, empty)
    } catch (error) {
      this.lost(error instanceof Error ? error.message : String(error), now, empty)
    }
  }

  lost(reason: string, now: number, empty: number): void {
    this.#generations.forget()
    this.#doubt(reason, now - empty)
  }

  /** At `asked` the kernel had made so many commits; everything that it told until then was read. */
  counted(generation: number, asked: number, now: number): void {
    const found = this.#generations.ask(generation)
    if (found === 'missed') this.#unheard(now)
    if (found !== 'awaited') this.#certain = asked
  }

  #unheard(now: number): void {
    this.#doubt('a commit was not told', now - this.#certain)
  }

  #doubt(reason: string, sinceMs: number): void {
    this.#open.clear()
    this.#post({ kind: 'doubt', reason, sinceMs })
  }

  /** Elements name no chain, and there are many: behind the first thing of our table they say nothing new. */
  #saysMore(type: number, port: number): boolean {
    return !(isOfElements(type) && this.#open.has(port))
  }

  #message(message: NetlinkMessage, now: number, empty: number): void {
    const notice = decodeNftables(message)
    if (notice?.kind === 'end' && this.#generations.tell(notice.generation)) this.#unheard(now)
    if (notice === null || message.port === 0) return
    if (notice.kind === 'change') {
      if (notice.family !== this.#family || notice.table !== this.#table) return
      const chains = this.#open.get(message.port) ?? new Set()
      if (notice.chain !== null) chains.add(notice.chain)
      this.#open.set(message.port, chains)
      return
    }
    const chains = this.#open.get(message.port)
    if (chains === undefined) return
    this.#open.delete(message.port)
    const by = `${notice.process === '' ? 'a program' : notice.process} (process ${notice.id})`
    this.#post({ kind: 'commit', port: message.port, by, chains: chains.size > MOST_CHAINS ? 'all' : [...chains], sinceMs: now - empty })
  }
}
