// Which cluster a command is to ask, and with what, where it is started outside of the agent.
//
// **Invariant:** as kubectl: what is said in the command line wins over $KUBECONFIG, that over ~/.kube/config; the service account of a
// pod comes last.
import { existsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { kubeconfigInEnvironment } from '../config.ts'
import type { ClusterAccess } from '../kube/source.ts'
import { PicketError } from '../lib/errors.ts'

export interface AccessOptions {
  readonly kubeconfig?: string
  readonly context?: string
}

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount/token'

export function isInPod(): boolean {
  return existsSync(ACCOUNT)
}

/** `otherwise`: what else the user may do where no cluster is named. */
export function accessOf({ kubeconfig, context }: AccessOptions, otherwise: string): ClusterAccess {
  const usual = path.join(os.homedir(), '.kube/config')
  const file = kubeconfig ?? kubeconfigInEnvironment() ?? (existsSync(usual) ? usual : null)
  if (file === null && !isInPod()) {
    throw new PicketError('NoCluster', `no cluster is named: expected --kubeconfig FILE, $KUBECONFIG or ~/.kube/config; ${otherwise}`)
  }
  return { kubeconfig: file, context: context ?? null, apiServers: [] }
}
