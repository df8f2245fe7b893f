// The operators of the test cluster, paused while a test writes custom resources by itself: they would put right, or delete, what it made.
//
// **Invariant:** resume() resolves when as many are ready as were; without an installation nothing is done.
import { api } from './api.ts'
import { until } from './processes.ts'

const DEPLOYMENT = ['apps/v1', 'Deployment', 'picket-system', 'picket-operator'] as const
const PODS = '?labelSelector=app.kubernetes.io/name%3Dpicket,app.kubernetes.io/component%3Doperator'

export interface PausedOperators {
  resume(): Promise<void>
}

/** Resolves when no pod of theirs is left. */
export async function pauseOperators(): Promise<PausedOperators> {
  const found = await api.find(...DEPLOYMENT)
  if (found === null) return { resume: () => Promise.resolve() }
  const { replicas } = found['spec'] as { readonly replicas: number }
  const ready = await readyOperators()
  await api.patch(...DEPLOYMENT, { spec: { replicas: 0 } })
  await until('no operator runs', 60_000, async () => ((await api.list('v1', 'Pod', 'picket-system', PODS)).length === 0 ? true : null))
  return {
    async resume() {
      await api.patch(...DEPLOYMENT, { spec: { replicas } })
      await until('the operators are ready again', 60_000, async () => ((await readyOperators()) >= ready ? true : null))
    },
  }
}

async function readyOperators(): Promise<number> {
  const { readyReplicas } = ((await api.get(...DEPLOYMENT))['status'] ?? {}) as { readonly readyReplicas?: number }
  return readyReplicas ?? 0
}
