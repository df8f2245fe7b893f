// `picket agent`: enforces for one node until it is stopped.
//
// **Invariant:** SIGTERM and SIGINT end the process and leave the kernel as it is; `picket cleanup` is what removes.
import { Command } from 'commander'
import { keepHeapSmall } from '../lib/heap.ts'
import { addSettingFlags, loadAgentConfig } from '../config.ts'
import { messageOf } from '../lib/errors.ts'
import type { Log } from '../telemetry/log.ts'

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
    if (!config.canary) await removeLeftCanary(log)
    const stopped = new Promise<string>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal))
    })
    const agent = await startAgent(config, systemClock, log)
    log.info({ signal: await stopped }, 'agent stops; the kernel keeps its rules')
    await agent.close()
  })
}

/** Of an agent that had one, before the settings were changed. */
async function removeLeftCanary(log: Log): Promise<void> {
  const { removeStage } = await import('../canary/stage.ts')
  try {
    const interfaces = removeStage()
    if (interfaces.length > 0) log.info({ interfaces }, 'the canary is off: its interfaces are removed')
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'the canary is off, and its interfaces stay')
  }
}
