// `picket operator`: publishes what the cluster's nodes enforce, as one of several of which one leads.
//
// **Invariant:** SIGTERM and SIGINT give the Lease back, so that another one goes on at once.
import { Command } from 'commander'
import { addSettingFlags, loadOperatorConfig } from '../config.ts'
import { keepHeapTight } from '../lib/heap.ts'
import { OPERATOR_SETTINGS } from '../settings.ts'

export function command(): Command {
  return addSettingFlags(new Command('operator').description('publish which policies are enforced where, as custom resources, until stopped'), OPERATOR_SETTINGS).action(
    async (flags: Record<string, unknown>) => {
      const config = loadOperatorConfig(flags)
      keepHeapTight()
      const [{ startOperator }, { systemClock }, { openLog }] = await Promise.all([import('../operator/operator.ts'), import('../lib/clock.ts'), import('../telemetry/log.ts')])
      const log = openLog(config.logLevel, {})
      const { promise: ended, resolve: end, reject: fail } = Promise.withResolvers<string>()
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end(signal))
      const operator = await startOperator(config, systemClock, log, fail)
      try {
        log.info({ signal: await ended }, 'operator stops')
      } finally {
        await operator.close()
      }
    },
  )
}
