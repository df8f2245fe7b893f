// The two that bench `services` compares, each on a node of its own: how it is started, what it holds, what it says of itself.
//
// **Invariant:** both are started on the same API server, alone, and told the same; what one holds is counted in the kernel.
import { globSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PicketError } from '../../src/lib/errors.ts'
import { FILES, SERVICE_RANGES, STATE } from '../cluster/layout.ts'
import { logOf, mustRun, runIn, sleep, startDaemon, until } from '../cluster/processes.ts'
import { POD_CIDR } from './services-objects.ts'
import type { Stage, Station } from './services-stage.ts'

export interface Counted {
  readonly services: number
  readonly endpoints: number
}

/** What a program has spent on changes: seconds, and for how many. */
export interface Spent {
  readonly seconds: number
  readonly count: number
}

export interface Proxy {
  readonly title: string
  readonly command: (stage: Stage, station: Station) => readonly string[]
  /** In the kernel of that station. */
  readonly count: (station: Station) => Promise<Counted>
  readonly spent: (station: Station) => Promise<Spent>
  /** Answers 200 when everything that there is has been programmed. */
  readonly ready: string
}

async function nft(station: Station, ...args: readonly string[]): Promise<string> {
  return mustRun({ netns: station.place.netns }, ['nft', ...args], { timeout: 300_000 })
}

function occurrences(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0
}

async function sample(station: Station, url: string, sum: RegExp, count: RegExp): Promise<Spent> {
  const text = await mustRun({ netns: station.place.netns }, ['curl', '-sS', '-m', '10', url])
  const value = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0)
  return { seconds: value(sum), count: value(count) }
}

/** `minSyncPeriod`: null leaves the default, 1 s; 0 would mean the same. */
export function kubeProxy(minSyncPeriod: string | null): Proxy {
  return {
    title: minSyncPeriod === null ? 'kube-proxy' : `kube-proxy, minSyncPeriod ${minSyncPeriod}`,
    command: ({ programs, proxyKubeconfig }, { place }) => {
      const file = path.join(STATE, `${place.name}-kube-proxy.json`)
      const config = {
        apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration', mode: 'nftables', clusterCIDR: POD_CIDR, hostnameOverride: place.name,
        clientConnection: { kubeconfig: proxyKubeconfig }, conntrack: { maxPerCore: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
        ...(minSyncPeriod === null ? {} : { nftables: { minSyncPeriod } }),
      }
      writeFileSync(file, JSON.stringify(config))
      return [programs.of('kube-proxy'), '--config', file]
    },
    count: async (station) => {
      const table = await nft(station, 'list', 'table', 'ip', 'kube-proxy')
      // Of several endpoints `0 : 10.244.1.0 . 8080`, of a single one `dnat to 10.244.1.0:8080`.
      return { services: occurrences(table, / : goto service-/g), endpoints: occurrences(table, / : [\d.]+ \. \d+|dnat to \d/g) }
    },
    spent: (station) =>
      sample(station, 'http://127.0.0.1:10249/metrics', /^kubeproxy_sync_proxy_rules_duration_seconds_sum\{ip_family="IPv4"\} (\S+)/m, /^kubeproxy_sync_proxy_rules_duration_seconds_count\{ip_family="IPv4"\} (\S+)/m),
    ready: 'http://127.0.0.1:10256/healthz',
  }
}

/** `program`: the folder of the bundle. */
export function picket(program: string): Proxy {
  return {
    title: 'Picket',
    command: (_, { place }) => [
      process.execPath, path.join(program, 'main.js'), 'agent', '--node-name', place.name, '--source', 'kube', '--kubeconfig', FILES.kubeconfig,
      '--service-proxy', 'picket', '--service-cidrs', SERVICE_RANGES[4], '--masquerade', 'none', '--socket', path.join(STATE, `${place.name}.sock`),
    ],
    count: async (station) => ({
      // One for each kind of client.
      services: occurrences(await nft(station, 'list', 'map', 'inet', 'picket', 'service-ids-v4'), / : \d/g) / 3,
      endpoints: occurrences(await nft(station, 'list', 'map', 'inet', 'picket', 'endpoints-tcp-v4'), / : \d/g),
    }),
    spent: (station) => sample(station, 'http://127.0.0.1:9655/metrics', /^picket_event_commit_duration_seconds_sum (\S+)/m, /^picket_event_commit_duration_seconds_count (\S+)/m),
    ready: 'http://127.0.0.1:9654/readyz',
  }
}

const STATUS = /^Vm(RSS|HWM):\s+(\d+) kB/gm
const SAMPLE_MS = 50

/** One run of a proxy. */
export class Running {
  readonly #proxy: Proxy
  readonly #station: Station
  readonly #pid: number
  readonly #log: string
  readonly #sampler: NodeJS.Timeout
  #peak = 0

  constructor(proxy: Proxy, stage: Stage, station: Station) {
    this.#proxy = proxy
    this.#station = station
    this.#log = `${station.place.name}-proxy`
    this.#pid = startDaemon(this.#log, { netns: station.place.netns }, proxy.command(stage, station))
    this.#sampler = setInterval(() => {
      this.#peak = Math.max(this.#peak, [this.#pid, ...this.#children()].reduce((sum, pid) => sum + kilobytes(pid).RSS, 0))
    }, SAMPLE_MS)
  }

  /** Megabytes: of the process now, and the most of it together with what it ran, as far as looks show. */
  memory(): { readonly kept: number; readonly peak: number } {
    const { RSS, HWM } = kilobytes(this.#pid)
    return { kept: RSS / 1e3, peak: Math.max(this.#peak, HWM) / 1e3 }
  }

  /** For people: what it said last. */
  log(lines = 8): string {
    return logOf(this.#log, lines)
  }

  async ready(): Promise<void> {
    const answers = async (): Promise<true | null> => ((await runIn({ netns: this.#station.place.netns }, ['curl', '-sf', '-m', '2', '-o', '/dev/null', this.#proxy.ready])).status === 0 ? true : null)
    await until(`${this.#proxy.title} is ready`, 60_000, answers, () => this.log())
  }

  /** Ends the process; what it wrote to the kernel stays. */
  async stop(): Promise<void> {
    clearInterval(this.#sampler)
    if (!isAlive(this.#pid)) throw new PicketError('BenchFailed', `${this.#proxy.title} ended by itself: ${this.log()}`)
    process.kill(this.#pid, 'SIGTERM')
    await until(`${this.#proxy.title} ended`, 60_000, async () => (isAlive(this.#pid) ? null : true), () => this.log())
  }

  #children(): readonly number[] {
    try {
      const own = readlinkSync(`/proc/${this.#pid}/exe`)
      const all = globSync(`/proc/${this.#pid}/task/*/children`).flatMap((file) => readFileSync(file, 'utf8').trim().split(' ').filter((one) => one !== '').map(Number))
      // One that is still the program itself, just before it becomes another, shares its memory.
      return all.filter((pid) => readlinkSync(`/proc/${pid}/exe`) !== own)
    } catch {
      return []
    }
  }
}

function kilobytes(pid: number): Record<'RSS' | 'HWM', number> {
  const found = { RSS: 0, HWM: 0 }
  try {
    for (const [, name, value] of readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(STATUS)) found[name as 'RSS' | 'HWM'] = Number(value)
  } catch {
    // It ended.
  }
  return found
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** The station's kernel as it was before any proxy. */
export async function wipe(station: Station): Promise<void> {
  await nft(station, 'flush', 'ruleset')
  rmSync(path.join(STATE, `${station.place.name}.gate.json`), { force: true })
  await sleep(200)
}
