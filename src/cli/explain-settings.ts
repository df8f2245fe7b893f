// The settings of the installed agents that change an answer, from their DaemonSet and ConfigMap; the defaults where there are none.
//
// **Invariant:** what may not be read is told and never guessed silently: the defaults are answered with then.
import { verdictSettings, type VerdictSettings } from '../check/agent-settings.ts'
import { AGENT_CONFIG_MAP, PICKET_NAMESPACE } from '../check/installed.ts'
import { daemonSetOf } from '../check/raw.ts'
import { USUAL_SETTINGS, type WorldSettings } from '../explain/world.ts'
import { ApiFailure } from '../kube/failures.ts'
import { getObject } from '../kube/objects.ts'
import type { Transport } from '../kube/transport.ts'
import { parseCidr } from '../model/ip.ts'

const DAEMON_SET = { plural: 'daemonsets', group: 'apps', path: `/apis/apps/v1/namespaces/${PICKET_NAMESPACE}/daemonsets/picket-agent` }

export interface ReadSettings {
  readonly settings: WorldSettings
  /** For people; null where nothing stood in the way. */
  readonly note: string | null
}

export async function readSettings(transport: Transport, signal: AbortSignal): Promise<ReadSettings> {
  try {
    const daemonSet = await getObject(transport, DAEMON_SET, signal)
    if (daemonSet === null) return { settings: USUAL_SETTINGS, note: null }
    const configMap = await getObject(transport, AGENT_CONFIG_MAP, signal)
    return { settings: worldSettings(verdictSettings(daemonSetOf(daemonSet).args, configMap)), note: null }
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.code !== 'PermissionMissing') throw error
    return { settings: USUAL_SETTINGS, note: `answered with the agents' default settings, as theirs may not be read: ${error.message}` }
  }
}

export function worldSettings({ nodeEgress, masqueradeAll, nodePortAddresses, serviceCIDRs }: VerdictSettings): WorldSettings {
  const cidrs = (texts: readonly string[]): WorldSettings['serviceCidrs'] => texts.flatMap((text) => parseCidr(text) ?? [])
  const isPrimary = nodePortAddresses.length === 0 || nodePortAddresses[0] === 'primary'
  return { nodeEgress: nodeEgress === 'enforce' ? 'enforce' : 'allow', masqueradeAll, nodePortAddresses: isPrimary ? 'primary' : cidrs(nodePortAddresses), serviceCidrs: cidrs(serviceCIDRs) }
}
