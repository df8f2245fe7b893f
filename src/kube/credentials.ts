// Where the API server is and who we are: a kubeconfig, or a pod's service account, read again as its files change.
//
// KubeConfig of @kubernetes/client-node knows the formats and runs exec plugins; nothing else of that package is used. It caches for
// good what a kubeconfig names, so it is made anew when the file changed, from time to time, and when a server refuses us.
// **Invariant:** a token, a certificate or a key that rotates on disk is used within a minute, and at once after a 401.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { RequestOptions } from 'node:https'
import { KubeConfig } from '@kubernetes/client-node'
import { parse } from 'yaml'
import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import { printable, show } from '../lib/show.ts'
import { ApiFailure, said } from './failures.ts'

export interface TlsMaterial {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

export interface Access {
  /** `https://10.0.0.1:6443`, without a slash at the end. */
  readonly server: string
  readonly headers: Readonly<Record<string, string>>
  readonly tls: TlsMaterial
  /** `http://proxy:3128`; null for none. */
  readonly proxy: string | null
  /** What we show, in words: `the token of /var/...`. */
  readonly shown: string
}

export interface CredentialsOptions {
  /** Path; null: this process runs in a pod. */
  readonly kubeconfig: string | null
  /** Its current one where it is null. */
  readonly context: string | null
  readonly clock: Clock
  /** In front of /var/run/secrets/... */
  readonly podRoot?: string
  /** Milliseconds. */
  readonly execLimit?: number
}

type User = NonNullable<ReturnType<KubeConfig['getCurrentUser']>>
type Cluster = NonNullable<ReturnType<KubeConfig['getCurrentCluster']>>

const LONGEST_USE_MS = 60_000
const EXEC_LIMIT_MS = 30_000
export const OUTSIDE = 'expected --kubeconfig FILE, or --source manifests:DIR'
/** What KubeConfig makes of an environment without the API server's address. */
const NO_SERVICE_HOST = 'https://undefined:undefined'

export class Credentials {
  readonly #options: CredentialsOptions
  #loaded: { readonly config: KubeConfig; readonly text: string; readonly at: number } | null = null
  /** All who ask at the same time share one answer: a plugin that hangs is not started again and again. */
  #reading: { readonly config: KubeConfig; readonly access: Promise<Access> } | null = null

  constructor(options: CredentialsOptions) {
    this.#options = options
  }

  /** What to use for the next request. ApiFailure (Credentials) where a file or the plugin fails. */
  async current(): Promise<Access> {
    const config = this.#config()
    if (this.#reading?.config !== config) this.#reading = { config, access: this.#read(config) }
    return this.#limited(this.#reading.access, config.getCurrentUser())
  }

  async #read(config: KubeConfig): Promise<Access> {
    const cluster = config.getCurrentCluster() as Cluster
    const user = config.getCurrentUser()
    const options: RequestOptions = { headers: {} }
    try {
      await config.applyToHTTPSOptions(options)
    } catch (error) {
      throw fault(`${this.#where()}: ${whatFailed(user)}: ${said(messageOf(error))}${this.#hint()}`)
    } finally {
      if (this.#reading?.config === config) this.#reading = null
    }
    return Object.freeze({
      server: cluster.server.replace(/\/+$/, ''),
      headers: headersOf(options, user),
      tls: tlsOf(options),
      proxy: cluster.proxyUrl ?? null,
      shown: shownOf(user),
    })
  }

  /** A server refused them: whatever was cached is read anew. */
  forget(): void {
    this.#loaded = null
  }

  #config(): KubeConfig {
    const { kubeconfig, clock } = this.#options
    const text = kubeconfig === null ? '' : readText(kubeconfig)
    const before = this.#loaded
    if (before !== null && before.text === text) {
      // A plugin's answer says itself until when it is good.
      const fresh = Boolean(before.config.getCurrentUser()?.exec) || clock.now() - before.at < LONGEST_USE_MS
      if (fresh) return before.config
    }
    const config = kubeconfig === null ? this.#inPod() : this.#ofFile(kubeconfig, text)
    this.#loaded = { config, text, at: clock.now() }
    return config
  }

  #inPod(): KubeConfig {
    const config = new KubeConfig()
    config.loadFromCluster(this.#options.podRoot)
    return config
  }

  #ofFile(file: string, text: string): KubeConfig {
    const config = new KubeConfig()
    try {
      config.loadFromString(text)
    } catch (error) {
      throw fault(`${file}: no kubeconfig: ${said(messageOf(error).split('\n')[0] ?? '')}; expected clusters, users and contexts as kubectl has them`)
    }
    config.makePathsAbsolute(path.dirname(file))
    if (this.#options.context !== null) config.setCurrentContext(this.#options.context)
    checkContext(config, file)
    completeUser(config, text, path.dirname(file))
    return config
  }

  async #limited(work: Promise<Access>, user: User | null): Promise<Access> {
    const limit = this.#options.execLimit ?? EXEC_LIMIT_MS
    let cancel = (): void => {}
    const late = new Promise<never>((_, reject) => {
      const message = `${this.#where()}: ${whatFailed(user)}: no answer within ${limit / 1000} s`
      cancel = this.#options.clock.after(limit, () => reject(fault(message)))
    })
    try {
      return await Promise.race([work, late])
    } finally {
      cancel()
    }
  }

  #hint(): string {
    return this.#options.kubeconfig === null ? `; outside of a pod: ${OUTSIDE}` : ''
  }

  #where(): string {
    return this.#options.kubeconfig ?? 'the service account of this pod'
  }
}

/** Of a pod without the Service's address in its environment; then only `apiServer` says where the server is. */
export function isNoServer(server: string): boolean {
  return server === NO_SERVICE_HOST
}

function fault(message: string): ApiFailure {
  return new ApiFailure('Credentials', message)
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw fault(`${file}: the kubeconfig cannot be read: ${messageOf(error)}`)
  }
}

function checkContext(config: KubeConfig, file: string): void {
  const name = config.getCurrentContext()
  const known = config.getContexts().map((context) => printable(context.name))
  const context = config.getContextObject(name)
  if (context === null) {
    const what = name === undefined || name === '' ? 'no context is named (current-context, --context)' : `there is no context ${show(name)}`
    throw fault(`${file}: ${what}; expected one of ${known.join(', ') || 'none, since it has no contexts'}`)
  }
  const cluster = config.getCurrentCluster()
  if (cluster === null) throw fault(`${file}: context ${show(name)}: there is no cluster ${show(context.cluster)}`)
  if (!/^https?:\/\/[^/]/.test(cluster.server) || !URL.canParse(cluster.server)) {
    throw fault(`${file}: cluster ${show(cluster.name)}: server: expected https://HOST:PORT, got ${show(cluster.server)}`)
  }
  if (config.getCurrentUser() === null) throw fault(`${file}: context ${show(name)}: there is no user ${show(context.user)}`)
}

/** What KubeConfig leaves out: `tokenFile`, and the variable by which exec plugins learn what is asked. */
function completeUser(config: KubeConfig, text: string, directory: string): void {
  const user = config.getCurrentUser() as User
  const raw = parse(text) as { readonly users?: readonly { readonly name?: string; readonly user?: { readonly tokenFile?: unknown } }[] }
  const tokenFile = raw.users?.find((one) => one.name === user.name)?.user?.tokenFile
  const changes: Partial<User> = {}
  if (typeof tokenFile === 'string' && user.token === undefined) {
    Object.assign(changes, { authProvider: { name: 'tokenFile', config: { tokenFile: path.resolve(directory, tokenFile) } } })
  }
  if (user.exec) Object.assign(changes, { exec: { ...user.exec, env: [...(user.exec.env ?? []), execInfo(user, config.getCurrentCluster() as Cluster)] } })
  Object.assign(user, changes)
}

function execInfo({ exec }: User, cluster: Cluster): { readonly name: string; readonly value: string } {
  const about = { server: cluster.server, 'certificate-authority-data': cluster.caData, 'tls-server-name': cluster.tlsServerName }
  const spec = { interactive: false, ...(exec.provideClusterInfo === true ? { cluster: about } : {}) }
  return { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify({ apiVersion: exec.apiVersion, kind: 'ExecCredential', spec }) }
}

function headersOf(options: RequestOptions, user: User | null): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value).trim()
  if (user?.username !== undefined && user.username !== null) {
    headers['authorization'] = `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}`
  }
  return headers
}

function tlsOf(options: RequestOptions): TlsMaterial {
  const text = (value: unknown): string => (Buffer.isBuffer(value) ? value.toString('latin1') : String(value))
  return {
    ...(options.ca === undefined ? {} : { ca: text(options.ca) }),
    ...(options.cert === undefined ? {} : { cert: text(options.cert) }),
    ...(options.key === undefined ? {} : { key: text(options.key) }),
    ...(options.servername === undefined ? {} : { servername: options.servername }),
    ...(options.rejectUnauthorized === undefined ? {} : { rejectUnauthorized: options.rejectUnauthorized }),
  }
}

function whatFailed(user: User | null): string {
  return user?.exec ? `the credential plugin ${show(user.exec.command)} fails` : 'the credentials cannot be read'
}

function shownOf(user: User | null): string {
  if (user?.exec) return `those of the plugin ${show(user.exec.command)}`
  const tokenFile: unknown = user?.authProvider?.config?.tokenFile
  if (typeof tokenFile === 'string') return `the token in ${printable(tokenFile, 200)}`
  if (user?.token) return 'the token in the kubeconfig'
  if (user?.username) return 'a name and password in the kubeconfig'
  if (user?.certFile || user?.certData) return 'a client certificate'
  return 'none'
}
