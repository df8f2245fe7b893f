// The agent's config -> what the compiler is told: of policy, of Services, of the table's static part.
//
// **Invariant:** nothing else of the config reaches the pure folders.
import { DENIES } from '../logging/wishes.ts'
import { parseCidr, type Cidr } from '../model/ip.ts'
import type { NatOptions } from '../nat/nat.ts'
import type { StepOptions } from '../policy/step.ts'
import type { LogOptions } from '../ruleset/log-rules.ts'
import { markLayout, type MarkLayout } from '../ruleset/marks.ts'
import type { SkeletonOptions } from '../ruleset/skeleton.ts'
import type { AgentConfig } from '../settings.ts'

export interface CompileOptions {
  readonly step: StepOptions
  readonly skeleton: SkeletonOptions
  readonly nat: NatOptions
}

/** Without `canLog` nothing is logged, whatever settings and annotations say: the kernel would refuse the whole table. */
export function compileOptions(config: AgentConfig, canLog = false): CompileOptions {
  const { nodeName, masqueradeAll, masqueradeRandomFully: randomFully } = config
  const mark = config.serviceProxy === 'picket' ? markOf(config.serviceMarkMask) : null
  const egress = config.masquerade === 'picket'
  return {
    step: {
      isLocal: (pod) => pod.node === nodeName,
      nodeName,
      podInterfaces: config.podInterfaces,
      podAttachment: config.podAttachment,
      sourcePrefixNamespaces: config.sourcePrefixNamespaces,
      ...(canLog ? { auditLog: config.auditLog } : {}),
    },
    skeleton: { ...config, ...(canLog ? { log: logOptions(config, mark !== null) } : {}), nat: { mark, egress, randomFully, serviceCidrs: mark === null ? [] : cidrs(config.serviceCIDRs) } },
    nat: {
      nodeName,
      services: mark === null ? null : { nodePortAddresses: nodePorts(config), masqueradeAll, mostLists: mark.mostLists, mostSizes: mark.mostSizes },
      masquerade: egress ? cidrs(config.nonMasqueradeCIDRs) : null,
    },
  }
}

function logOptions({ auditLog, auditGroup: group, auditNodeLimit: nodeLimit, auditPodLimit: podLimit, auditSourceLimit: sourceLimit }: AgentConfig, services: boolean): LogOptions {
  return { group, nodeLimit, podLimit, sourceLimit, denies: DENIES.includes(auditLog), services }
}

function nodePorts({ nodePortAddresses }: AgentConfig): readonly Cidr[] | 'primary' {
  return nodePortAddresses[0] === 'primary' ? 'primary' : cidrs(nodePortAddresses)
}

/** Settings are checked as they are read. */
function cidrs(texts: readonly string[]): readonly Cidr[] {
  return texts.map((text) => parseCidr(text) as Cidr)
}

function markOf(mask: string): MarkLayout {
  return markLayout(Number(mask)) as MarkLayout
}
