// Asks an agent's gate as the CNI plugin does: HTTP with a body over the agent's socket.
//
// **Invariant:** whatever a test leaves out of a request is what a runtime would say of that pod of the testbed.
import http from 'node:http'
import { existsSync, readFileSync } from 'node:fs'
import type { RealCluster } from './real-cluster.ts'
import { named, type RealPod } from './real-objects.ts'

export interface GateAnswer {
  readonly status: number
  readonly body: { readonly programmed?: boolean; readonly ms?: number; readonly error?: string; readonly removed?: boolean }
}

/** Rejects where the connection breaks. */
export function ask(socket: string, method: string, path: string, body: string): Promise<GateAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const request = http.request({ socketPath: socket, method, path, agent: false, headers }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(parts).toString()) as GateAnswer['body'] }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

export class GateClient {
  readonly #lab: RealCluster

  constructor(lab: RealCluster) {
    this.#lab = lab
  }

  add(pod: RealPod, more: Readonly<Record<string, unknown>> = {}): Promise<GateAnswer> {
    return this.#ask(pod, 'POST', '/gate/pods', more)
  }

  check(pod: RealPod, more: Readonly<Record<string, unknown>> = {}): Promise<GateAnswer> {
    return this.#ask(pod, 'POST', '/gate/check', more)
  }

  remove(pod: RealPod, more: Readonly<Record<string, unknown>> = {}): Promise<GateAnswer> {
    return this.#ask(pod, 'DELETE', '/gate/pods', more)
  }

  #ask(pod: RealPod, method: string, path: string, more: Readonly<Record<string, unknown>>): Promise<GateAnswer> {
    const bridged = this.#lab.attachment === 'bridge' ? ['cni0'] : []
    const hostInterfaces = 'hostInterfaces' in more ? [] : [...bridged, this.#lab.testbed.hostInterface(pod.key)]
    const usual = { ...named(pod.key), uid: pod.uid, containerId: containerOf(pod), netns: '/x', ifname: 'eth0', addresses: pod.addresses, hostInterfaces, timeoutMs: 5_000 }
    return ask(this.#lab.agents.socket(pod.node), method, path, JSON.stringify({ ...usual, ...more }))
  }

  /** Pods whose entries are kept in the node's file. */
  kept(node: string): readonly string[] {
    const file = this.#lab.agents.socket(node).replace(/\.sock$/, '.gate.json')
    if (!existsSync(file)) return []
    const entries = JSON.parse(readFileSync(file, 'utf8')) as readonly { readonly entry: { readonly namespace: string; readonly name: string } }[]
    return entries.map(({ entry }) => `${entry.namespace}/${entry.name}`).sort()
  }
}

export function containerOf({ key }: RealPod): string {
  return `sandbox-${key.replace('/', '-')}`
}
