// A worker thread of the lab: the servers and probers of several hosts, each in its own network namespace.
//
// The thread enters a host's namespace to make sockets there, and rests in the lab's underlay, a namespace without
// routes, so that nothing can ever be made in the machine's own network by accident. The sockets stay where they were made.
// **Invariant:** entering is serialized: nobody else enters until all that an action started has its socket.
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { tellLoaded } from '../lib/workers.ts'
import { enterNetns, loadLibc } from '../netlink/libc.ts'
import { DownloadClient } from './download-client.ts'
import { FlowClient } from './flow-client.ts'
import { LabHost } from './host.ts'
import type { ProbeOutcome, ProbeRound, WorkerAnswer, WorkerRequest } from './messages.ts'
import { runRounds } from './prober.ts'

const { restingNetns } = workerData as { readonly restingNetns: string }
const hosts = new Map<number, LabHost>()
const flows = new Map<number, { readonly host: number; readonly client: FlowClient | DownloadClient }>()
let last: Promise<void> = Promise.resolve()

loadLibc()
tellLoaded()
enterNetns(restingNetns)
parentPort?.on('message', ({ id, request }: { readonly id: number; readonly request: WorkerRequest }) => {
  const answer = (message: WorkerAnswer): void => parentPort?.postMessage(message)
  handle(request).then(
    (value) => answer({ id, value }),
    (error: unknown) => answer({ id, error: messageOf(error) }),
  )
})

async function handle(request: WorkerRequest): Promise<unknown> {
  switch (request.kind) {
    case 'open':
      return openHost(request.host, new LabHost(request.spec))
    case 'serve': {
      const host = hostOf(request.host)
      await inNamespace(host.spec.netns, () => host.serve(request.ports))
      return null
    }
    case 'close':
      for (const flow of flows.values()) if (flow.host === request.host) flow.client.abandon()
      hosts.get(request.host)?.close()
      hosts.delete(request.host)
      return null
    case 'probe':
      return probe(request.rounds, request.deadlineMs)
    case 'open-flow': {
      const { host } = request.spec
      const client = await inNamespace(hostOf(host).spec.netns, () => (request.spec.direction === 'echo' ? new FlowClient(request.spec) : new DownloadClient(request.spec)))
      await client.start()
      flows.set(request.flow, { host, client })
      return null
    }
    case 'flow-stats':
      return flowOf(request.flow).stats()
    case 'stop-flow': {
      const flow = flowOf(request.flow)
      flows.delete(request.flow)
      return flow.stop()
    }
  }
}

/** Rounds of hosts that were removed meanwhile fail by themselves. */
async function probe(rounds: readonly ProbeRound[], deadlineMs: number): Promise<readonly (readonly ProbeOutcome[])[]> {
  const present = rounds.flatMap((round) => {
    const host = hosts.get(round.host)
    return host === undefined ? [] : [{ host, probes: round.probes, round }]
  })
  const outcomes = await runRounds(present, deadlineMs, inNamespace)
  const byRound = new Map(present.map(({ round }, index) => [round, outcomes[index] as readonly ProbeOutcome[]]))
  return rounds.map((round) => byRound.get(round) ?? round.probes.map(() => ({ kind: 'failed', message: 'the source was removed' })))
}

async function openHost(number: number, host: LabHost): Promise<null> {
  try {
    await inNamespace(host.spec.netns, () => host.open())
  } catch (error) {
    host.close()
    throw error
  }
  hosts.set(number, host)
  return null
}

function hostOf(number: number): LabHost {
  const host = hosts.get(number)
  if (host === undefined) throw new Error('the host was removed')
  return host
}

function flowOf(number: number): FlowClient | DownloadClient {
  const flow = flows.get(number)
  if (flow === undefined) throw new Error('the flow was stopped')
  return flow.client
}

/** Node makes the sockets of connections in the next tick, in order: an own tick behind them comes when all are made. */
function inNamespace<T>(netns: string, action: () => T): Promise<T> {
  const turn = last.then(async () => {
    enterNetns(netns)
    try {
      return action()
    } finally {
      await new Promise<void>((resolve) => process.nextTick(resolve))
      enterNetns(restingNetns)
    }
  })
  last = turn.then(() => undefined, () => undefined)
  return turn
}
