// The agent's own NodeEnforcement at the API server: read, made under the Node that owns it, and its status applied.
//
// It is read once, and again after whatever went wrong. Of a Node that was made anew under its name the old object is waited out:
// the garbage collector takes it with its owner, and the agent has no right to delete.
// **Invariant:** a status is applied to the version that it was computed from; conditions of others on it are never in it.
import { NODE_ENFORCEMENT, type NodeEnforcementStatus } from '../crd/node-enforcement.ts'
import { nodeEnforcementOf } from '../crd/objects.ts'
import { isA } from '../crd/read.ts'
import { apiKindOf } from '../crd/schema.ts'
import { ApiFailure } from '../kube/failures.ts'
import type { ObjectKind, ObjectWriter, StoredObject } from '../kube/object-writer.ts'
import type { Uid } from '../model/objects.ts'
import { ownerIn } from '../summary/read.ts'

const KIND: ObjectKind = apiKindOf(NODE_ENFORCEMENT)

export interface OwnerNode {
  readonly name: string
  readonly uid: Uid
}

/** What is to be written over that; null: nothing. It is asked again where the object became another one meanwhile. */
export type Compose = (before: NodeEnforcementStatus | null) => NodeEnforcementStatus | null

interface Known {
  readonly uid: Uid
  readonly resourceVersion: string
  readonly owner: Uid
  /** Null where it has none yet, or one that is not as the schema says. */
  readonly status: NodeEnforcementStatus | null
}

export class NodeObject {
  readonly #writer: Pick<ObjectWriter, 'get' | 'create' | 'apply'>
  #known: Known | null = null

  constructor(writer: Pick<ObjectWriter, 'get' | 'create' | 'apply'>) {
    this.#writer = writer
  }

  /** As it was last read or written; null where it has to be read, or has none. */
  get status(): NodeEnforcementStatus | null {
    return this.#known?.status ?? null
  }

  /** It is read before the next write. */
  forget(): void {
    this.#known = null
  }

  /** Whether anything was written. ApiFailure where the server does not take it, or could not be asked. */
  async write(node: OwnerNode, compose: Compose, signal: AbortSignal): Promise<boolean> {
    for (let isAgain = false; ; isAgain = true) {
      try {
        return await this.#write(node, compose, signal)
      } catch (error) {
        this.#known = null
        // Somebody else wrote it, or took it away: once more on what is there now.
        const isOther = error instanceof ApiFailure && (error.code === 'Conflict' || error.code === 'AlreadyExists' || error.code === 'NotFound')
        if (!isOther || isAgain) throw error
      }
    }
  }

  async #write(node: OwnerNode, compose: Compose, signal: AbortSignal): Promise<boolean> {
    const known = this.#known?.owner === node.uid ? this.#known : ((await this.#read(node, signal)) ?? (await this.#make(node, signal)))
    this.#known = known
    const status = compose(known.status)
    if (status === null) return false
    const { uid, resourceVersion } = known
    const stored = await this.#writer.apply(KIND, { metadata: { name: node.name, uid, resourceVersion }, status }, { force: true, status: true }, signal)
    this.#known = { ...known, resourceVersion: stored.metadata.resourceVersion, status }
    return true
  }

  async #read(node: OwnerNode, signal: AbortSignal): Promise<Known | null> {
    const object = await this.#writer.get(KIND, { name: node.name }, signal)
    if (object === null) return null
    const owner = ownerIn(object.metadata, 'Node')
    if (owner !== node.uid) {
      const whose = owner === null ? 'no Node' : `a Node of this name with UID ${owner}, which is gone`
      throw new ApiFailure('Conflict', `NodeEnforcement ${node.name} is owned by ${whose}; it is made anew once it is deleted (kubectl delete nodeenf ${node.name})`)
    }
    const status = object['status']
    return { ...versionOf(object), owner, status: isA(NODE_ENFORCEMENT.status, status) ? status : null }
  }

  async #make(node: OwnerNode, signal: AbortSignal): Promise<Known> {
    const { metadata } = nodeEnforcementOf(node)
    return { ...versionOf(await this.#writer.create(KIND, { metadata }, signal)), owner: node.uid, status: null }
  }
}

function versionOf({ metadata: { uid, resourceVersion } }: StoredObject): Pick<Known, 'uid' | 'resourceVersion'> {
  return { uid, resourceVersion }
}
