// The agent's config -> what the compiler is told: of policy, of Services, of the table's static part.
//
// **Invariant:** nothing else of the config reaches the pure folders.
import { parseCidr, type Cidr } from '../model/ip.ts'
import type { NatOptions } from '../nat/nat.ts'
import type { StepOptions } from '../policy/step.ts'
import { markLayout, type MarkLayout } from '../ruleset/marks.ts'
import type { SkeletonOptions } from '../ruleset/skeleton.ts'
import type { AgentConfig } from '../settings.ts'

export interface CompileOptions {
  readonly step: StepOptions
  readonly skeleton: SkeletonOptions
  readonly nat: NatOptions
}

export function compileOptions(config: AgentConfig): CompileOptions {
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
    },
    skeleton: { ...config, nat: { mark, egress, randomFully, serviceCidrs: mark === null ? [] : cidrs(config.serviceCIDRs) } },
    nat: {
      nodeName,
      services: mark === null ? null : { nodePortAddresses: nodePorts(config), masqueradeAll, mostLists: mark.mostLists, mostSizes: mark.mostSizes },
      masquerade: egress ? cidrs(config.nonMasqueradeCIDRs) : null,
    },
  }
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
