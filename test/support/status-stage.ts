// A cluster for tests of `picket status`: an API server on loopback with policies, and what the operator and the agents would write.
//
// **Invariant:** objects are as Picket writes them: an enforcement has its policy's namespace, name and owner.
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import { nodeEnforcementOf, policyEnforcementOf } from '../../src/crd/objects.ts'
import type { PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import { ApiServer } from './api-server.ts'
import { kubeconfigText, PODS, POLICIES, TemporaryFolder } from './cluster-follower.ts'
import { condition, nodeStatus, policyStatus } from './enforcements.ts'

export const TOLD = '/apis/picket.dev/v1alpha1/policyenforcements'
export const REPORTS = '/apis/picket.dev/v1alpha1/nodeenforcements'

export class StatusStage {
  readonly server: ApiServer
  readonly kubeconfig: string
  readonly #folder: TemporaryFolder

  private constructor(server: ApiServer, folder: TemporaryFolder, kubeconfig: string) {
    this.server = server
    this.#folder = folder
    this.kubeconfig = kubeconfig
  }

  static async start(): Promise<StatusStage> {
    const [server, folder] = await Promise.all([ApiServer.start(), TemporaryFolder.make()])
    return new StatusStage(server, folder, await folder.write('kubeconfig', kubeconfigText(server.url)))
  }

  policy(namespace: string, name: string, generation = 1, uid = `uid-${namespace}-${name}`): void {
    this.server.put(POLICIES, { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name, uid, generation }, spec: { podSelector: {} } })
  }

  /** Its PolicyEnforcement: by default, that it is programmed. */
  told(namespace: string, name: string, fields: Partial<PolicyEnforcementStatus> = {}, uid = `uid-${namespace}-${name}`): void {
    const object = policyEnforcementOf({ namespace, name, uid })
    const status = policyStatus({ policyRef: { name, uid, resourceVersion: '100' }, ...fields })
    this.server.put(TOLD, { ...object, metadata: { ...object.metadata, namespace, uid: `told-${uid}` }, status })
  }

  /** Not programmed. */
  failing(namespace: string, name: string, reason: string, message: string, fields: Partial<PolicyEnforcementStatus> = {}): void {
    const programmed = condition('Programmed', { status: reason === 'NoReport' ? 'Unknown' : 'False', reason, message })
    this.told(namespace, name, { conditions: [condition('Accepted'), programmed], ...fields })
  }

  /** By default: it reports, and has observed everything up to now. */
  node(name: string, fields: NodeEnforcementStatus = {}): void {
    const object = nodeEnforcementOf({ name, uid: `node-${name}` })
    const conditions = [condition('Reporting'), condition('Ready'), condition('Programmed'), condition('TableIntact')]
    const status = nodeStatus({ conditions, observedResourceVersions: { networkpolicies: String(this.server.revision) }, ...fields })
    this.server.put(REPORTS, { ...object, metadata: { ...object.metadata, uid: `report-${name}` }, status })
  }

  pod(namespace: string, name: string, node: string): void {
    this.server.put(PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, uid: `pod-${namespace}-${name}` }, spec: { nodeName: node, containers: [] }, status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] } })
  }

  async close(): Promise<void> {
    await this.server.close()
    await this.#folder.remove()
  }
}
