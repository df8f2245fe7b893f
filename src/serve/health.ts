// GET /livez and /readyz for probes, on the loopback address of the settings.
//
// A kubelet restarts an agent that is not live, so that only what a restart cures may say so: never the API server, never the
// kernel's refusal. **Invariant:** readiness is what the agent's socket says too.
import { json, listen, type Listener, type Routes } from './http.ts'

export interface HealthAnswers {
  /** Null while the loop is alive; else what is stuck. */
  readonly stuck: () => string | null
  /** Null where the kernel holds the first complete ruleset; else what is missing. */
  readonly notReady: () => string | null
}

/** Throws a PicketError that names the setting where nobody can listen at `address`. */
export function openHealth(address: string, { stuck, notReady }: HealthAnswers): Promise<Listener> {
  const told = (key: 'live' | 'ready', reason: string | null): ReturnType<typeof json> =>
    json(reason === null ? 200 : 503, reason === null ? { [key]: true } : { [key]: false, reason })
  const routes: Routes = { '/livez': () => told('live', stuck()), '/readyz': () => told('ready', notReady()) }
  return listen('healthAddress', address, routes)
}
