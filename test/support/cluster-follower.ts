// What a cluster source says, added up as the inbox would, for tests that compare it with an API server of theirs.
//
// **Invariant:** an event that no source may say (a second `synced`, an event before the first list) fails the test.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { watchCluster, type ClusterOptions, type ClusterSource, type ClusterState } from '../../src/kube/source.ts'
import { systemClock, type Clock } from '../../src/lib/clock.ts'
import type { Problem } from '../../src/lib/problem.ts'
import type { Decoded, Kind, SourceEvent } from '../../src/model/changes.ts'
import type { ApiObject, ApiServer } from './api-server.ts'

export const PODS = '/api/v1/pods'
export const POLICIES = '/apis/networking.k8s.io/v1/networkpolicies'

/** Short pauses, so that tests are quick; limits as usual, so that a busy machine does not run into them. */
export const QUICK = { first: 4, longest: 30, calm: 60 }
const LONGEST_WAIT_MS = 15_000

export function podObject(name: string, changes: { readonly uid?: string; readonly labels?: Readonly<Record<string, string>>; readonly pad?: string } = {}): ApiObject {
  const { uid = `uid-${name}`, labels = {}, pad = '' } = changes
  const metadata = { namespace: 'shop', name, uid, labels, creationTimestamp: '2026-01-01T00:00:00Z', annotations: { pad } }
  return { metadata, spec: { nodeName: 'n1', containers: [{ name: 'main' }] }, status: { phase: 'Running', podIPs: [] } }
}

interface KubeconfigOptions {
  readonly cluster?: Readonly<Record<string, unknown>>
  readonly user?: Readonly<Record<string, unknown>>
}

/** JSON is YAML. Plain HTTP is only for who says that TLS does not matter. */
export function kubeconfigText(url: string, { cluster = {}, user = { token: 'secret' } }: KubeconfigOptions = {}): string {
  const plain = url.startsWith('http:') ? { 'insecure-skip-tls-verify': true } : {}
  return JSON.stringify({
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: url, ...plain, ...cluster } }],
    users: [{ name: 'u', user }],
  })
}

export class TemporaryFolder {
  readonly dir: string

  private constructor(dir: string) {
    this.dir = dir
  }

  static async make(): Promise<TemporaryFolder> {
    return new TemporaryFolder(await mkdtemp(path.join(tmpdir(), 'picket-kube-')))
  }

  async write(name: string, text: string): Promise<string> {
    const file = path.join(this.dir, name)
    await writeFile(file, text)
    return file
  }

  remove(): Promise<void> {
    return rm(this.dir, { recursive: true })
  }
}

export class Follower {
  readonly rows = new Map<Kind, Map<string, Decoded<unknown>>>()
  readonly synced: Kind[] = []
  /** `pod replace 3`, `pod + UID`, `pod - UID`, `pod synced` */
  readonly told: string[] = []
  readonly problems: Problem[] = []
  /** Whatever was a problem at any time. */
  readonly problemsEver: Problem[] = []
  /** Called after each batch. */
  onBatch: () => void = () => {}
  #source: ClusterSource | null = null

  static async start(options: Omit<ClusterOptions, 'clock' | 'onEvents' | 'onProblems'> & { readonly clock?: Clock }): Promise<Follower> {
    const follower = new Follower()
    follower.#source = await watchCluster({
      pauses: QUICK,
      clock: systemClock,
      ...options,
      onEvents: (events) => follower.#take(events),
      onProblems: (problems) => {
        follower.problems.splice(0, Infinity, ...problems)
        follower.problemsEver.push(...problems)
      },
    })
    return follower
  }

  get state(): ClusterState {
    return (this.#source as ClusterSource).state()
  }

  async close(): Promise<void> {
    await this.#source?.close()
    this.#source = null
  }

  /** What is known of the kind: UID -> name and labels, sorted. */
  known(kind: Kind): readonly string[] {
    return [...(this.rows.get(kind) ?? [])].map(([uid, decoded]) => `${uid} ${rowText(decoded)}`).sort()
  }

  /** Until the condition holds; fails with what is known where it never does. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const end = performance.now() + LONGEST_WAIT_MS
    while (!condition()) {
      if (performance.now() > end) assert.fail(`not within ${LONGEST_WAIT_MS} ms: ${what}; ${JSON.stringify({ told: this.told.slice(-20), problems: this.problems, state: this.#source?.state() })}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  /** Until what is known of pods is what the server holds. */
  async untilPodsOf(server: ApiServer): Promise<void> {
    await this.until(`pods as the server has them: ${podsOf(server).join(', ')}`, () => podsOf(server).join('\n') === this.known('pod').join('\n'))
  }

  #take(events: readonly SourceEvent[]): void {
    assert.ok(events.length > 0)
    for (const event of events) this.#takeOne(event)
    this.onBatch()
  }

  #takeOne(event: SourceEvent): void {
    const { kind } = event
    if (event.verb === 'synced') {
      assert.ok(!this.synced.includes(kind), `${kind} is synced twice`)
      assert.ok(this.rows.has(kind), `${kind} is synced before it was listed`)
      this.synced.push(kind)
      this.told.push(`${kind} synced`)
      return
    }
    if (event.verb === 'replace') {
      this.rows.set(kind, new Map<string, Decoded<unknown>>(event.rows))
      this.told.push(`${kind} replace ${event.rows.size}`)
      return
    }
    const rows = this.rows.get(kind)
    assert.ok(rows !== undefined, `${event.verb} of a ${kind} before it was listed`)
    if (event.verb === 'upsert') rows.set(event.key, event.decoded)
    else rows.delete(event.key)
    this.told.push(`${kind} ${event.verb === 'upsert' ? '+' : '-'} ${event.key}`)
  }
}

export function podsOf(server: ApiServer): readonly string[] {
  return server
    .list(PODS)
    .map(({ metadata }) => `${metadata.uid} ${metadata.name} ${labelText(Object.entries(metadata['labels'] as Record<string, string>))}`)
    .sort()
}

function rowText(decoded: Decoded<unknown>): string {
  const row = (decoded.kind === 'good' ? decoded.row : decoded.strict) as { readonly name: string; readonly labels?: ReadonlyMap<string, string> } | null
  return row === null ? decoded.kind : `${row.name} ${labelText([...(row.labels ?? [])])}`
}

function labelText(labels: readonly (readonly [string, string])[]): string {
  return labels.map(([key, value]) => `${key}=${value}`).sort().join(',')
}
