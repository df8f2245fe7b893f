// Helpers of the kernel tests of interfaces: namespaces of one run, `ip` in them, and an observer of what the source tells.
//
// **Invariant:** only namespaces that begin with this run's prefix are made, and removeNamespaces() removes all of them.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import type { SourceEvent } from '../../src/model/changes.ts'
import type { HostInterface } from '../../src/model/objects.ts'
import type { InterfaceWatch, WatchInterfacesOptions } from '../../src/node/watch.ts'
import { watchInterfaces } from '../../src/node/watch.ts'

export const PREFIX = `pkif${process.pid}`
const made = new Set<string>()

export function newNamespace(name: string): string {
  const netns = `${PREFIX}-${name}`
  execFileSync('ip', ['netns', 'add', netns])
  made.add(netns)
  return netns
}

export function removeNamespaces(): void {
  for (const netns of made) execFileSync('ip', ['netns', 'del', netns])
  made.clear()
}

/** One command a line, all in one `ip` process; with `force` it goes on behind one that fails. */
export function ip(netns: string, commands: string, force = false): void {
  const input = commands.split('\n').map((line) => line.trim()).filter((line) => line !== '').join('\n')
  const options = ['-n', netns, ...(force ? ['-force'] : []), '-batch', '-']
  try {
    execFileSync('ip', options, { input: `${input}\n`, stdio: ['pipe', 'ignore', force ? 'ignore' : 'inherit'] })
  } catch (error) {
    if (!force) throw error
  }
}

/** What the source told, folded as the store would. */
export class Observer {
  readonly rows = new Map<string, HostInterface>()
  readonly batches: SourceEvent[][] = []
  readonly resyncs: string[] = []
  readonly losses: string[] = []
  watch: InterfaceWatch | null = null

  static async start(netns: string, options: Partial<WatchInterfacesOptions> = {}): Promise<Observer> {
    const observer = new Observer()
    observer.watch = await watchInterfaces({
      netns: `/run/netns/${netns}`,
      onEvents: (events) => observer.#take(events),
      onLost: (message) => observer.losses.push(message),
      onResync: (reason) => observer.resyncs.push(reason),
      ...options,
    })
    return observer
  }

  byName(name: string): HostInterface | undefined {
    return [...this.rows.values()].find((row) => row.name === name)
  }

  /** Waits until it holds; fails with the rows as they are after `ms`. */
  async until(what: string, holds: () => boolean, ms = 5_000): Promise<void> {
    const end = Date.now() + ms
    while (!holds()) {
      if (Date.now() > end) assert.fail(`not within ${ms} ms: ${what}; rows: ${JSON.stringify([...this.rows.values()])}`.slice(0, 4_000))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  #take(events: SourceEvent[]): void {
    this.batches.push(events)
    for (const event of events) {
      assert.equal(event.kind, 'interface')
      if (event.kind !== 'interface') continue
      if (event.verb === 'replace') {
        this.rows.clear()
        for (const [key, decoded] of event.rows) if (decoded.kind === 'good') this.rows.set(key, decoded.row)
      } else if (event.verb === 'upsert' && event.decoded.kind === 'good') {
        assert.notDeepEqual(this.rows.get(event.key), event.decoded.row, 'a row was told that did not change')
        this.rows.set(event.key, event.decoded.row)
      } else if (event.verb === 'delete') {
        assert.ok(this.rows.delete(event.key), 'a row was deleted that was not there')
      }
    }
  }
}
