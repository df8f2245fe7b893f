// The settings of the installed agents that concern Services, as its DaemonSet's arguments and its ConfigMap have them.
//
// **Invariant:** a flag wins over the ConfigMap, as for the agent; what cannot be read counts as not set.
import { parse } from 'yaml'
import { flagOf, SETTINGS, type SettingName } from '../settings.ts'

export interface AgentSettings {
  readonly serviceProxy: string
  readonly source: string
  readonly kubeconfig: string
  readonly apiServer: readonly string[]
  readonly serviceCIDRs: readonly string[]
}

/** `configMap`: null where there is none. `args`: of the agent's container. */
export function agentSettings(args: readonly string[], configMap: unknown): AgentSettings {
  const file = fileIn(configMap)
  const texts = (name: SettingName): readonly string[] => {
    const given = valuesOf(args, flagOf(name))
    const { default: usual } = SETTINGS.find((one) => one.name === name) ?? {}
    const value = given.length > 0 ? given.flatMap((one) => one.split(',')) : (file[name] ?? usual)
    return [value].flat().filter((one): one is string => typeof one === 'string' && one !== '')
  }
  const text = (name: SettingName): string => texts(name).at(-1) ?? ''
  return { serviceProxy: text('serviceProxy'), source: text('source'), kubeconfig: text('kubeconfig'), apiServer: texts('apiServer'), serviceCIDRs: texts('serviceCIDRs') }
}

/** `--flag value` and `--flag=value`. */
function valuesOf(args: readonly string[], flag: string): readonly string[] {
  return args.flatMap((arg, i) => (arg === flag ? (args[i + 1] ?? []) : arg.startsWith(`${flag}=`) ? arg.slice(flag.length + 1) : []))
}

function fileIn(configMap: unknown): Readonly<Record<string, unknown>> {
  const { data } = (configMap ?? {}) as { readonly data?: Readonly<Record<string, unknown>> }
  const text = data?.['agent.yaml']
  if (typeof text !== 'string') return {}
  try {
    const content: unknown = parse(text)
    return typeof content === 'object' && content !== null ? (content as Readonly<Record<string, unknown>>) : {}
  } catch {
    return {}
  }
}
