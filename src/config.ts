// Settings: flags, a YAML file and the environment -> one frozen AgentConfig or OperatorConfig, before anything else runs.
//
// The settings are tables (settings.ts), from which the flags, the checks and the documentation come. A flag wins over the
// file, the file over the environment, and that over the default. **Invariant:** no other file reads process.env or
// process.argv, and a config that leaves this file is complete and valid.
import { readFileSync } from 'node:fs'
import { Option, type Command } from 'commander'
import { parseDocument } from 'yaml'
import { messageOf, PicketError } from './lib/errors.ts'
import { flagOf, OPERATOR_SETTINGS, optionOf, serverFault, SETTINGS, WHY_NO_SERVICE, type AgentConfig, type OperatorConfig, type Setting, type Source } from './settings.ts'

/** The arguments after the program's own name. */
export function commandLine(): readonly string[] {
  return process.argv.slice(2)
}

/** Whether internal errors show their stack: PICKET_DEBUG=1. */
export function isDebug(): boolean {
  return process.env['PICKET_DEBUG'] === '1'
}

/** Whether a container runtime started us as a CNI plugin. */
export const isStartedByRuntime = (): boolean => (process.env['CNI_COMMAND'] ?? '') !== ''
/** The first file of $KUBECONFIG; null for none. */
export const kubeconfigInEnvironment = (): string | null => process.env['KUBECONFIG']?.split(':').find((file) => file !== '') ?? null

/** Folders that programs are looked for in: PATH, and what Debian leaves out of it for everybody but root. */
export function programFolders(): readonly string[] {
  const folders = (process.env['PATH'] ?? '').split(':').filter((folder) => folder !== '')
  return [...new Set([...folders, '/usr/local/sbin', '/usr/sbin', '/sbin'])]
}

/** `500ms`, `60s`, `2m`, `1.5h` -> milliseconds, 1 ms to 24 days (a timer's limit); null where `text` is no such duration. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,10}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text)
  if (match === null) return null
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] as 'ms' | 's' | 'm' | 'h']
  const ms = Math.round(Number(match[1]) * unit)
  return ms >= 1 && ms <= 2 ** 31 - 1 ? ms : null
}

/** Adds `--config` and one flag for each setting. No flag has a default: absent means that the file decides. */
export function addSettingFlags(command: Command, settings: readonly Setting[] = SETTINGS): Command {
  command.option('--config <file>', 'settings as YAML, under their camelCase names; flags win')
  for (const setting of settings) {
    const flag = flagOf(setting.name)
    const origin = setting.default === null ? 'required' : `default ${[setting.default].flat().join(',') || 'none'}`
    const help = `${setting.help} (${setting.env === undefined ? origin : `default $${setting.env}, ${origin}`})`
    if (setting.type === 'boolean') {
      command.addOption(new Option(`${flag} [boolean]`, help).choices(['true', 'false']))
      command.addOption(new Option(flag.replace('--', '--no-')).hideHelp())
      continue
    }
    const option = new Option(`${flag} <${setting.type === 'choice' ? (setting.choices ?? []).join('|') : setting.type}>`, help)
    if (setting.type === 'list') {
      option.argParser((value: string, before?: readonly string[]) => [...(before ?? []), ...value.split(',').filter((item) => item !== '')])
    }
    command.addOption(option)
  }
  return command
}

/** Where a value was found, for messages: `agent.yaml: newPods`, `--new-pods`, `$NODE_NAME`. */
interface Found {
  readonly value: unknown
  readonly where: string
}

function refuse(where: string, expected: string, value: unknown): PicketError {
  const shown = typeof value === 'string' ? `"${value}"` : JSON.stringify(value)
  return new PicketError('InvalidConfig', `${where}: expected ${expected}, got ${shown}; nothing was started`)
}

/** Refuses settings that are neither of `settings` nor of `others`. */
function readFile(file: string, settings: readonly Setting[], others: readonly Setting[]): ReadonlyMap<string, unknown> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new PicketError('InvalidConfig', `${file}: cannot be read (${messageOf(error)}); name a readable YAML file with --config`)
  }
  const document = parseDocument(text, { prettyErrors: true })
  const fault = document.errors[0]
  if (fault !== undefined) {
    throw new PicketError('InvalidConfig', `${file}: not valid YAML: ${fault.message.split('\n')[0]?.replace(/:$/, '')}; nothing was started`)
  }
  const content: unknown = document.toJS()
  if (content === null) return new Map()
  if (typeof content !== 'object' || Array.isArray(content)) throw refuse(file, 'settings as "name: value" lines', content)
  for (const name of Object.keys(content)) {
    if (![...settings, ...others].some((one) => one.name === name)) {
      const known = settings.map((setting) => setting.name).join(', ')
      throw new PicketError('InvalidConfig', `${file}: ${name}: unknown setting; expected one of ${known}; nothing was started`)
    }
  }
  return new Map(Object.entries(content))
}

function find(setting: Setting, flags: Record<string, unknown>, file: string | null, content: ReadonlyMap<string, unknown>): Found {
  const flag = flags[optionOf(setting.name)]
  if (flag !== undefined) {
    const value = flag === 'true' ? true : flag === 'false' ? false : flag
    return { value: setting.type === 'boolean' ? value : flag, where: flagOf(setting.name) }
  }
  if (content.has(setting.name)) return { value: content.get(setting.name), where: `${file}: ${setting.name}` }
  const fromEnvironment = setting.env === undefined ? undefined : process.env[setting.env]
  if (fromEnvironment !== undefined && fromEnvironment !== '') return { value: fromEnvironment, where: `$${setting.env}` }
  if (setting.default !== null) return { value: setting.default, where: 'default' }
  const ways = [flagOf(setting.name), ...(setting.env === undefined ? [] : [`$${setting.env}`]), `${setting.name} in the --config file`]
  throw new PicketError('InvalidConfig', `${setting.name} is not set (${setting.help}): set it with ${ways.join(', or ')}`)
}

/** The value as the config holds it. Throws a PicketError that names the place and what was expected. */
function check(setting: Setting, { value, where }: Found): unknown {
  const fits = (item: unknown): boolean => typeof item === 'string' && (setting.pattern?.test(item) ?? true) && (setting.valid?.(item) ?? true)
  switch (setting.type) {
    case 'boolean':
      if (typeof value !== 'boolean') throw refuse(where, 'true or false', value)
      return value
    case 'choice': {
      const choices = setting.choices ?? []
      if (typeof value !== 'string' || !choices.includes(value)) throw refuse(where, choices.join(' or '), value)
      return value
    }
    case 'duration': {
      const ms = typeof value === 'string' ? parseDuration(value) : null
      if (ms === null) throw refuse(where, 'a duration such as 30s, 500ms or 2m', value)
      return ms
    }
    case 'number': {
      const [least, greatest] = setting.between ?? [-Infinity, Infinity]
      const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value
      if (!Number.isInteger(number) || (number as number) < least || (number as number) > greatest) throw refuse(where, setting.expected ?? 'a whole number', value)
      return number
    }
    case 'list':
      if (!Array.isArray(value) || !value.every(fits) || (value.length > 1 && value.includes(setting.alone))) throw refuse(where, `a list of ${setting.expected ?? 'texts'}`, value)
      return Object.freeze([...value])
    case 'text':
      if (!fits(value)) throw refuse(where, setting.expected ?? 'a text', value)
      return value
  }
}

/** The source with what belongs to it. Throws where a setting is of the other one. */
function sourceOf(values: ReadonlyMap<string, unknown>): Source {
  const source = values.get('source') as string
  const [kubeconfig, context] = [values.get('kubeconfig') as string, values.get('context') as string]
  const apiServers = values.get('apiServer') as readonly string[]
  if (source === 'kube') {
    if (context !== '' && kubeconfig === '') throw new PicketError('InvalidConfig', `context: expected a kubeconfig beside it, got "${context}" alone; nothing was started`)
    return Object.freeze({ kind: 'kube', kubeconfig: kubeconfig === '' ? null : kubeconfig, context: context === '' ? null : context, apiServers })
  }
  if (kubeconfig !== '' || context !== '' || apiServers.length > 0) {
    throw new PicketError('InvalidConfig', `source: expected kube beside kubeconfig, context or apiServer, got "${source}"; nothing was started`)
  }
  return Object.freeze({ kind: 'manifests', directory: source.slice('manifests:'.length) })
}

/** Nobody else translates the API server's ClusterIP: an agent that needed it could not start on a node without rules. */
function checkServers(servers: readonly string[], serviceCidrs: readonly string[]): void {
  const end = 'expected addresses of the API servers themselves, such as https://10.0.0.10:6443; nothing was started'
  if (servers.length === 0) throw new PicketError('InvalidConfig', `apiServer is not set: ${WHY_NO_SERVICE}; ${end}`)
  const host = process.env['KUBERNETES_SERVICE_HOST']
  const services = new Map(host === undefined ? [] : [[host, "it is the Service's ($KUBERNETES_SERVICE_HOST)"]])
  for (const server of servers) {
    const what = serverFault(server, serviceCidrs, services)
    if (what !== null) throw new PicketError('InvalidConfig', `apiServer: ${server}: ${what}, and ${WHY_NO_SERVICE}; ${end}`)
  }
}

/**
 * The agent's config. `flags` are commander's options by camelCase name, undefined where not given, with `config`
 * among them. Throws a PicketError (InvalidConfig) that names file or flag, field and what was expected.
 */
export function loadAgentConfig(flags: Record<string, unknown>): AgentConfig {
  const values = valuesOf(flags, SETTINGS)
  const source = sourceOf(values)
  values.set('source', source)
  if (values.get('serviceProxy') === 'picket' && source.kind === 'kube' && source.kubeconfig === null) checkServers(source.apiServers, values.get('serviceCIDRs') as readonly string[])
  return Object.freeze(Object.fromEntries(values)) as unknown as AgentConfig
}

/** The operator's, in the same way. On a cluster it reads the agents' file, so that where the API servers are is said once; their other settings are not looked at. */
export function loadOperatorConfig(flags: Record<string, unknown>): OperatorConfig {
  const values = valuesOf(flags, OPERATOR_SETTINGS, SETTINGS)
  values.set('source', sourceOf(new Map([...values, ['source', 'kube']])))
  return Object.freeze(Object.fromEntries(values)) as unknown as OperatorConfig
}

function valuesOf(flags: Record<string, unknown>, settings: readonly Setting[], others: readonly Setting[] = []): Map<string, unknown> {
  const file = typeof flags['config'] === 'string' ? flags['config'] : null
  const content = file === null ? new Map<string, unknown>() : readFile(file, settings, others)
  return new Map(settings.map((setting) => [setting.name, check(setting, find(setting, flags, file, content))]))
}
