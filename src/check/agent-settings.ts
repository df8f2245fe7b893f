// The settings of the installed agents that concern Services or verdicts, as its DaemonSet's arguments and its ConfigMap have them.
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
  const texts = textsOf(args, configMap)
  const text = (name: SettingName): string => texts(name).at(-1) ?? ''
  return { serviceProxy: text('serviceProxy'), source: text('source'), kubeconfig: text('kubeconfig'), apiServer: texts('apiServer'), serviceCIDRs: texts('serviceCIDRs') }
}

/** What changes who reaches whom, and what an endpoint takes for the source. */
export interface VerdictSettings {
  readonly nodeEgress: string
  readonly masqueradeAll: boolean
  readonly nodePortAddresses: readonly string[]
  readonly serviceCIDRs: readonly string[]
}

export function verdictSettings(args: readonly string[], configMap: unknown): VerdictSettings {
  const texts = textsOf(args, configMap)
  return { nodeEgress: texts('nodeEgress').at(-1) ?? '', masqueradeAll: texts('masqueradeAll').at(-1) === 'true', nodePortAddresses: texts('nodePortAddresses'), serviceCIDRs: texts('serviceCIDRs') }
}

/** The values of a setting as texts, one where it has one. */
function textsOf(args: readonly string[], configMap: unknown): (name: SettingName) => readonly string[] {
  const file = fileIn(configMap)
  return (name) => {
    const given = valuesOf(args, flagOf(name))
    const { default: usual } = SETTINGS.find((one) => one.name === name) ?? {}
    const value = given.length > 0 ? given.flatMap((one) => one.split(',')) : (file[name] ?? usual)
    return [value].flat().map((one) => (typeof one === 'boolean' ? String(one) : one)).filter((one): one is string => typeof one === 'string' && one !== '')
  }
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
