// The worker that owns the libnftables context: text in, nft's answer out. koffi calls are synchronous here.
//
// It enters the network namespace, if one is given, before the context opens its netlink socket.
// **Invariant:** one request at a time, each answered once, in order; only text crosses the thread's border.
import koffi from 'koffi'
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { tellLoaded } from '../lib/workers.ts'
import { enterNetns, giveBackMemory, loadLibc } from '../netlink/libc.ts'
import { ownSockets, stillOpen, type OwnSocket } from './own-ports.ts'

export interface WorkerRequest {
  readonly id: number
  readonly text: string
  readonly mode: 'commit' | 'json' | 'check'
}

interface Ran {
  readonly kind: 'done' | 'failed'
  readonly id: number
  readonly output: string
  /** Those that this process's commits may come from. */
  readonly ports: readonly number[]
}

export type WorkerAnswer =
  /** Sent once, first: the library is loaded, or why it is not. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'unusable'; readonly message: string }
  | Ran

/** From nftables/libnftables.h. */
const NFT_CTX_DEFAULT = 0
const NFT_CTX_OUTPUT_JSON = 1 << 4
/** NUMERIC_PROTO, _PRIO, _SYMBOL and _TIME: listings that do not depend on files in /etc. */
const NFT_CTX_OUTPUT_NUMERIC_ALL = 0b1111 << 7

/** Characters; nft takes some twenty times as many bytes for it, and frees them in small pieces. */
const LARGE = 1_000_000

function load(): (request: WorkerRequest) => Ran {
  const library = koffi.load('libnftables.so.1')
  const contextNew = library.func('void *nft_ctx_new(uint32_t flags)')
  const bufferOutput = library.func('int nft_ctx_buffer_output(void *ctx)')
  const bufferError = library.func('int nft_ctx_buffer_error(void *ctx)')
  const contextFree = library.func('void nft_ctx_free(void *ctx)')
  const setFlags = library.func('void nft_ctx_output_set_flags(void *ctx, uint32_t flags)')
  const setDryRun = library.func('void nft_ctx_set_dry_run(void *ctx, bool dry)')
  const run = library.func('int nft_run_cmd_from_buffer(void *ctx, const char *text)')
  const output = library.func('const char *nft_ctx_get_output_buffer(void *ctx)')
  const error = library.func('const char *nft_ctx_get_error_buffer(void *ctx)')

  const open = (): unknown => {
    const context: unknown = contextNew(NFT_CTX_DEFAULT)
    if (context === null) throw new Error('nft_ctx_new gave no context')
    if (bufferOutput(context) !== 0 || bufferError(context) !== 0) throw new Error('libnftables cannot buffer its output')
    return context
  }
  const kept = open()
  // The context opens its socket when it runs for the first time; a worker that was lost may have left others open.
  let sockets: readonly OwnSocket[] = []
  const ports = (): readonly number[] => {
    if (!stillOpen(sockets)) sockets = ownSockets()
    return sockets.map((one) => one.port)
  }
  const runIn = (context: unknown, { id, text, mode }: WorkerRequest): Ran => {
    setFlags(context, mode === 'json' ? NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_NUMERIC_ALL : 0)
    setDryRun(context, mode === 'check')
    const status = Number(run(context, text))
    const printed = String(output(context) ?? '')
    const said = String(error(context) ?? '')
    return { kind: status === 0 ? 'done' : 'failed', id, output: status === 0 ? printed : said, ports: ports() }
  }
  /** libnftables 1.0.6 keeps what a check added in its cache, and takes it for what the kernel holds: a context of its own. */
  const runOne = (request: WorkerRequest): Ran => {
    const context = request.mode === 'check' ? open() : kept
    try {
      return runIn(context, request)
    } finally {
      if (context !== kept) contextFree(context)
    }
  }
  return runOne
}

function main(): void {
  const port = parentPort
  if (port === null) throw new Error('libnftables-worker is a worker')
  const send = (answer: WorkerAnswer): void => port.postMessage(answer)
  try {
    const { netns } = workerData as { readonly netns?: string }
    loadLibc()
    if (netns !== undefined) enterNetns(netns)
    const run = load()
    port.on('message', (request: WorkerRequest) => {
      const answer = run(request)
      send(answer)
      if (request.text.length + answer.output.length > LARGE) giveBackMemory()
    })
    send({ kind: 'ready' })
  } catch (error) {
    send({ kind: 'unusable', message: messageOf(error) })
  } finally {
    tellLoaded()
  }
}

main()
