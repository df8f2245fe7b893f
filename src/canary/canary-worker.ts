// The thread of the canary: asked for a round, it answers what was seen. It may wait long for the lock of rtnetlink.
//
// **Invariant:** each request is answered once, in order.
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { tellLoaded } from '../lib/workers.ts'
import { enterNetns, loadLibc } from '../netlink/libc.ts'
import { Rounds } from './round.ts'
import type { Round } from './verdict.ts'

export type CanaryAnswer = { readonly id: number } & ({ readonly kind: 'done'; readonly round: Round } | { readonly kind: 'failed'; readonly message: string })

loadLibc()
tellLoaded()
const port = parentPort
if (port === null) throw new Error('canary-worker is a worker thread')
const { netns } = workerData as { readonly netns?: string }
if (netns !== undefined) enterNetns(netns)

port.on('message', ({ id }: { readonly id: number }) => {
  try {
    const rounds = new Rounds()
    try {
      port.postMessage({ id, kind: 'done', round: rounds.round() } satisfies CanaryAnswer)
    } finally {
      rounds.close()
    }
  } catch (error) {
    port.postMessage({ id, kind: 'failed', message: messageOf(error) } satisfies CanaryAnswer)
  }
})
