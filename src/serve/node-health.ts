// GET /healthz and /livez for cloud load balancers that spread over nodes (externalTrafficPolicy Cluster), as kube-proxy tells them.
//
// /healthz is 503 also while the node is about to go, so that load balancers send no new connections to it; /livez speaks of
// the agent only. **Invariant:** whatever is wrong with the node, /livez does not say it: a restart would not cure it.
import { json, listen, type Answer, type Listener } from './http.ts'

export interface NodeHealthAnswers {
  /** Whether the kernel holds what Services need. */
  readonly healthy: () => boolean
  /** Whether the Node is known, is not being deleted, and is not about to be (decode/node.ts: `leaving`). */
  readonly eligible: () => boolean
  /** Milliseconds since 1970: now, and when the kernel last took something; null: never yet. */
  readonly now: () => number
  readonly updatedAt: () => number | null
}

/** HOST:PORT where kube-proxy listens, too. */
export const NODE_HEALTH_ADDRESS = '[::]:10256'

/** `setting` is the name of the one that says `address`. Throws a PicketError that names both where nobody can listen there. */
export function openNodeHealth(setting: string, address: string, answers: NodeHealthAnswers): Promise<Listener> {
  return listen(setting, address, { '/healthz': () => told(answers, answers.eligible()), '/livez': () => told(answers, null) })
}

/** `eligible` null: it does not matter. What is healthy is up to date: it says the present time, as kube-proxy does. */
function told({ healthy, now, updatedAt }: NodeHealthAnswers, eligible: boolean | null): Answer {
  const isHealthy = healthy()
  const isGood = isHealthy && eligible !== false
  const currentTime = now()
  const lastUpdated = isGood ? currentTime : (updatedAt() ?? 0)
  const body = {
    lastUpdated: new Date(lastUpdated).toISOString(),
    currentTime: new Date(currentTime).toISOString(),
    ...(eligible === null ? {} : { nodeEligible: eligible }),
    healthy: isHealthy,
  }
  return { ...json(isGood ? 200 : 503, body), headers: { 'X-Content-Type-Options': 'nosniff' } }
}
