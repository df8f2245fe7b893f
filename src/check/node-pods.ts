// Looks at nodes from outside: one short-lived pod on each, a few at a time, each removed as soon as it has answered.
//
//   place -> (make -> wait until it has ended -> read its log -> remove) for each node -> remove the place, where it is ours
//
// **Invariant:** whatever happens (time is over, an interruption, a failure), what was made is removed or named; every node
// gets an answer, a finding that says why there is none included.
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { ApiFailure } from '../kube/failures.ts'
import { createObject, deleteObject, getObject, getText, type ObjectPath } from '../kube/objects.ts'
import type { Transport } from '../kube/transport.ts'
import { messageOf } from '../lib/errors.ts'
import { shortHash } from '../lib/hash.ts'
import { PICKET_NAMESPACE } from './installed.ts'
import { namespaceObject, podObject, RUN_LABEL } from './check-pod.ts'
import { counted, error, warning, type Finding } from './finding.ts'
import { readReport, type NodeReport } from './node-report.ts'
import { podStateOf, type PodState } from './raw.ts'

export interface NodePodsOptions {
  readonly transport: Transport
  readonly image: string
  readonly nodes: readonly { readonly name: string; readonly hasAgent: boolean }[]
  /** Ends the waiting: time is over, or somebody interrupts. */
  readonly signal: AbortSignal
  /** Tells what is made and removed. */
  readonly announce: (text: string) => void
}

export interface NodeAnswer {
  readonly node: string
  /** With when it was read, in milliseconds since 1970; or why there is none. */
  readonly answer: { readonly report: NodeReport; readonly at: number } | Finding
}

const AT_A_TIME = 20
const POLL_MS = 300
/** A namespace's service account is made a moment after it. */
const ACCOUNT_WAIT_MS = 15_000
const REMOVE_LIMIT_MS = 30_000
/** Seconds. */
const POD_DEADLINE = 600
/** Of a container that waits: it will not start by itself. */
const HOPELESS = ['ImagePullBackOff', 'ErrImageNeverPull', 'InvalidImageName', 'CreateContainerConfigError', 'CreateContainerError', 'RunContainerError']

export async function askNodes(options: NodePodsOptions): Promise<readonly NodeAnswer[]> {
  const run = new Run(options)
  try {
    return await run.ask()
  } finally {
    await run.clean()
  }
}

class Run {
  readonly #options: NodePodsOptions
  readonly #id = randomBytes(4).toString('hex')
  readonly #made = new Map<string, ObjectPath>()
  #namespace = PICKET_NAMESPACE
  #ownNamespace: ObjectPath | null = null
  #announced = false
  /** Why no pod can be made at all. */
  #refused: Finding | null = null

  constructor(options: NodePodsOptions) {
    this.#options = options
  }

  async ask(): Promise<readonly NodeAnswer[]> {
    const { nodes, image, announce } = this.#options
    try {
      await this.#findPlace()
    } catch (failure) {
      const finding = this.#whyNot(failure, `no namespace for the pods`)
      return nodes.map(({ name }) => ({ node: name, answer: finding }))
    }
    this.#announced = true
    announce(`makes ${counted(nodes.length, 'short-lived pod')} in namespace ${this.#namespace}, one on each node, image ${image}; each is removed when it has answered`)
    const answers: NodeAnswer[] = []
    const waiting = [...nodes]
    const work = async (): Promise<void> => {
      for (let node = waiting.shift(); node !== undefined; node = waiting.shift()) answers.push({ node: node.name, answer: await this.#askOne(node) })
    }
    await Promise.all(Array.from({ length: AT_A_TIME }, work))
    return answers
  }

  /** Never throws: what is left is named. */
  async clean(): Promise<void> {
    const { announce, transport } = this.#options
    const signal = AbortSignal.timeout(REMOVE_LIMIT_MS)
    const paths = [...this.#made.values(), ...(this.#ownNamespace === null ? [] : [this.#ownNamespace])]
    const failures = await Promise.all(paths.map((path) => deleteObject(transport, path, signal).then(() => null, messageOf)))
    const failure = failures.find((one) => one !== null) ?? (await this.#namespaceLeft(signal))
    if (!this.#announced && paths.length === 0) return
    if (failure === null) announce(this.#ownNamespace === null ? 'removed the pods' : `removed the pods and namespace ${this.#namespace}`)
    else announce(`could not remove everything (${failure}); remove the rest with: kubectl delete pods,namespaces -A -l ${RUN_LABEL}=${this.#id}`)
  }

  /** Its controller takes some seconds to remove what is in it: null when it is gone, else what is known. */
  async #namespaceLeft(signal: AbortSignal): Promise<string | null> {
    const place = this.#ownNamespace
    if (place === null) return null
    try {
      while ((await getObject(this.#options.transport, place, signal)) !== null) await pause(POLL_MS, undefined, { signal })
      return null
    } catch (failure) {
      return signal.aborted ? `namespace ${this.#namespace} is still being removed` : messageOf(failure)
    }
  }

  async #findPlace(): Promise<void> {
    const { transport, signal, announce } = this.#options
    const namespaces: ObjectPath = { plural: 'namespaces', group: '', path: '/api/v1/namespaces' }
    if ((await getObject(transport, { ...namespaces, path: `${namespaces.path}/${PICKET_NAMESPACE}` }, signal)) !== null) return
    this.#namespace = `picket-check-${this.#id}`
    announce(`makes namespace ${this.#namespace}, since there is no ${PICKET_NAMESPACE}; it is removed at the end`)
    // Before it is asked for: an answer may get lost.
    this.#ownNamespace = { ...namespaces, path: `${namespaces.path}/${this.#namespace}` }
    await createObject(transport, namespaces, namespaceObject(this.#namespace, this.#id), signal)
  }

  async #askOne(node: NodePodsOptions['nodes'][number]): Promise<NodeAnswer['answer']> {
    const { signal } = this.#options
    if (this.#refused !== null) return this.#refused
    if (signal.aborted) return warning('pods', 'no time was left to look from inside', 'give it more with --timeout, or name fewer nodes with --node')
    const name = `picket-check-${shortHash(node.name, 8).toLowerCase()}-${this.#id}`
    const pods: ObjectPath = { plural: 'pods', group: '', path: `/api/v1/namespaces/${this.#namespace}/pods` }
    const path: ObjectPath = { ...pods, path: `${pods.path}/${name}` }
    let last: PodState | null = null
    try {
      await this.#make(pods, path, podObject({ ...node, node: node.name, name, image: this.#options.image, run: this.#id, deadline: POD_DEADLINE }))
      for (;;) {
        last = podStateOf(await getObject(this.#options.transport, path, signal))
        if (last.ended) return await this.#answerOf(path, last)
        if (HOPELESS.includes(last.reason)) return error('pods', `its pod does not start: ${last.trouble}`, 'see that the node can get the image, or name another with --image')
        await pause(POLL_MS, undefined, { signal })
      }
    } catch (failure) {
      if (!signal.aborted) return this.#whyNot(failure, 'its pod')
      const where = last === null ? 'was not made' : `was ${last.phase.toLowerCase() || 'waiting'}${last.trouble === '' ? '' : ` (${last.trouble})`}`
      return error('pods', `its pod did not answer in time: it ${where}`, 'see kubelet on the node, or give more time with --timeout')
    } finally {
      await this.#remove(path)
    }
  }

  async #make(pods: ObjectPath, path: ObjectPath, object: unknown): Promise<void> {
    const { transport, signal } = this.#options
    const until = Date.now() + ACCOUNT_WAIT_MS
    this.#made.set(path.path, path)
    for (;;) {
      try {
        await createObject(transport, pods, object, signal)
        return
      } catch (failure) {
        const isEarly = failure instanceof ApiFailure && failure.code === 'PermissionMissing' && /looking up service ?account/i.test(failure.message)
        if (isEarly && Date.now() < until) {
          await pause(POLL_MS, undefined, { signal })
          continue
        }
        if (failure instanceof ApiFailure && failure.code === 'PermissionMissing') this.#refused = this.#whyNot(failure, 'its pod')
        throw failure
      }
    }
  }

  async #answerOf(path: ObjectPath, state: PodState): Promise<NodeAnswer['answer']> {
    const text = await getText(this.#options.transport, { plural: 'pods/log', group: '', path: `${path.path}/log` }, this.#options.signal)
    if (text === null || text === '') return error('pods', `its pod said nothing: ${state.trouble || state.phase}`, 'see kubectl describe node, and kubelet there')
    const report = readReport(text)
    if (typeof report === 'string') return error('pods', `its pod gave no report: ${report}`, 'see that --image is an image of this version of Picket')
    return { report, at: Date.now() }
  }

  async #remove(path: ObjectPath): Promise<void> {
    try {
      await deleteObject(this.#options.transport, path, AbortSignal.timeout(REMOVE_LIMIT_MS))
      this.#made.delete(path.path)
    } catch {
      // Tried once more at the end.
    }
  }

  #whyNot(failure: unknown, what: string): Finding {
    return error('pods', `${what}: ${messageOf(failure)}`, 'the node is not checked from inside: run picket check --local there as root')
  }
}
