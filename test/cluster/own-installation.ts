// An installation of one's own: a kustomization beside a copy of deploy/ and crds/, as the install page has it.
//
// **Invariant:** what it changes is the ConfigMap's settings and nothing else; remove() leaves nothing.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { settled } from './agents.ts'
import type { TestCluster } from './cluster.ts'
import { API_SERVER, SERVICE_RANGES } from './layout.ts'

const root = path.resolve(import.meta.dirname, '../..')
/** Without kube-proxy the API server is reached by its own address. */
export const ITS_OWN_ADDRESS = `apiServer: ["${API_SERVER}"]\n`
export const FOR_SERVICES = `${ITS_OWN_ADDRESS}serviceCIDRs: ["${SERVICE_RANGES[4]}", "${SERVICE_RANGES[6]}"]\n`

export class OwnInstallation {
  readonly #cluster: TestCluster
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'picket-own-'))

  /** `overlay`: a folder of deploy/; `settings`: the text of agent.yaml. */
  constructor(cluster: TestCluster, overlay: 'policy-only' | 'full', settings: string) {
    this.#cluster = cluster
    for (const name of ['deploy', 'crds']) cpSync(path.join(root, name), path.join(this.#folder, 'picket', name), { recursive: true })
    mkdirSync(path.join(this.#folder, 'my-picket'))
    const patch = JSON.stringify([{ op: 'replace', path: '/data/agent.yaml', value: settings }])
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [`../picket/deploy/${overlay}`],
      patches: [{ target: { kind: 'ConfigMap', name: 'picket-agent' }, patch }],
    }
    writeFileSync(path.join(this.#folder, 'my-picket/kustomization.yaml'), JSON.stringify(kustomization))
  }

  async apply(): Promise<void> {
    await this.#cluster.mustKubectl(['apply', '-k', path.join(this.#folder, 'my-picket')])
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Starts every agent anew, since its settings are others, and waits until each holds everything. */
export async function restartAgents(cluster: TestCluster): Promise<void> {
  await cluster.mustKubectl(['-n', 'picket-system', 'rollout', 'restart', 'daemonset/picket-agent'])
  await agentsRolledOut(cluster)
}

export async function agentsRolledOut(cluster: TestCluster): Promise<void> {
  await cluster.mustKubectl(['-n', 'picket-system', 'rollout', 'status', 'daemonset/picket-agent', '--timeout=150s'], { timeout: 200_000 })
  await settled(cluster.nodes)
}
