// `picket agent`: enforces for one node until it is stopped.
//
// **Invariant:** SIGTERM and SIGINT end the process and leave the kernel as it is; `picket cleanup` is what removes.
import { Command } from 'commander'
import { keepHeapSmall } from '../lib/heap.ts'
import { addSettingFlags, loadAgentConfig } from '../config.ts'

export function command(): Command {
  return addSettingFlags(new Command('agent').description('enforce NetworkPolicy on this node, until stopped')).action(async (flags: Record<string, unknown>) => {
    const config = loadAgentConfig(flags)
    keepHeapSmall()
    const [{ startAgent }, { systemClock }, { openLog }] = await Promise.all([
      import('../agent/agent.ts'),
      import('../lib/clock.ts'),
      import('../telemetry/log.ts'),
    ])
    const log = openLog(config.logLevel, { node: config.nodeName })
    const stopped = new Promise<string>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal))
    })
    const agent = await startAgent(config, systemClock, log)
    log.info({ signal: await stopped }, 'agent stops; the kernel keeps its rules')
    await agent.close()
  })
}
