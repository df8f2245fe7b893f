// The table of small clusters, as people would see it, held against files beside this one.
//
//   UPDATE_GOLDEN=1 mocha test/golden/golden.test.ts      writes them anew, and prints what is another now
//
// **Invariant:** at most 30 files of at most 80 lines; hashes are shown as H1, H2, ... in the order in which they appear.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { SourceEvent } from '../../src/model/changes.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import type { TableState } from '../../src/nft/state.ts'
import { BRIDGE_TABLE, BridgePins } from '../../src/ruleset/bridge.ts'
import { hostInterface } from '../support/builders.ts'
import { compiled } from '../support/check-cluster.ts'
import { ALL_SYNCED, interfaceEvents, ownAddresses, sourceEvent } from '../support/events.ts'
import { objectsOf } from '../support/manifests.ts'
import { Pipeline } from '../support/pipeline.ts'
import { eventsBetween, materialise, type RawEvent } from '../support/states.ts'
import { tableBlock } from '../support/table-text.ts'
import { Tracer } from '../support/tracer.ts'
import { GOLDEN_CASES, type GoldenCase } from './cases.ts'

const MAX_FILES = 30
const MAX_LINES = 80

const SOURCES = ['filter-prerouting-spoof', 'not-as-itself', 'link-local', 'count-dropped-egress', 'count-dropped-ingress']
const DROPPED = /^dropped-.*-by-address-/
const CONNECTIONS = /^(cut-|restored-flows-|under-review-|replied-|(settled-icmp|replies)$)/
const BRIDGED = /^(input-)?bridged-|-by-(address|prefix)-|^closed-/

const SERVICE_WAY = /^(nat-(prerouting|output)|services|service-id|not-a-service|same-endpoint-again|keep-foreign-bits|keep-bit-0)$/
const SERVICE_ENDS = /^(filter-.*-(services|source-ranges)|service-leftovers|source-ranges|(reject|drop)-service|nat-postrouting)$/
const TRANSLATES = /^(service-ids|endpoints-)/
const DECIDES = /^(cluster-ips|service-cidrs|source-|local-pods|never-masqueraded|affinity)/

function filled(state: TableState, names: RegExp): TableState['sets'] {
  return new Map([...state.sets].filter(([name, { elements }]) => names.test(name) && elements.size > 0))
}

/** Dynamic names have a slash. What leads to profiles is shown with them, who is who on the node by itself. */
function shown(state: TableState, shows: GoldenCase['shows']): TableState {
  const isShown = (name: string): boolean => (shows === 'pods' ? !name.includes('/') && !CONNECTIONS.test(name) && !BRIDGED.test(name) : name.includes('/') || /^(in|e)gress-by-interface$/.test(name))
  const of = <T>(kind: ReadonlyMap<string, T>): Map<string, T> => new Map([...kind].filter(([name]) => isShown(name)))
  const chains = (names: 'these' | 'others', of: readonly string[]): TableState['chains'] =>
    new Map([...state.chains].filter(([name]) => of.includes(name) === (names === 'these') && !CONNECTIONS.test(name)))
  switch (shows) {
    case 'chains':
      return { chains: new Map([...chains('others', SOURCES)].filter(([name]) => !BRIDGED.test(name))), counters: new Map(), sets: new Map() }
    case 'sources':
      return { chains: chains('these', SOURCES), counters: new Map(), sets: new Map() }
    case 'connections':
      return { chains: new Map([...state.chains].filter(([name]) => CONNECTIONS.test(name))), counters: new Map(), sets: new Map([...state.sets].filter(([name]) => CONNECTIONS.test(name))) }
    case 'pods':
      return { chains: new Map(), counters: new Map(), sets: of(state.sets) }
    case 'bridged':
      return { chains: new Map(), counters: new Map(), sets: new Map([...state.sets].filter(([name]) => BRIDGED.test(name) && !DROPPED.test(name))) }
    case 'bridged-chains':
      return { chains: new Map([...state.chains].filter(([name]) => BRIDGED.test(name))), counters: new Map(), sets: filled(state, DROPPED) }
    case 'pins':
      return { ...state, chains: new Map([...state.chains].filter(([name]) => name.includes('/'))) }
    case 'pin-chains':
      return { chains: new Map([...state.chains].filter(([name]) => !name.includes('/'))), counters: new Map(), sets: new Map() }
    case 'service-way':
      return { chains: new Map([...state.chains].filter(([name]) => SERVICE_WAY.test(name))), counters: new Map(), sets: new Map() }
    case 'service-ends':
      return { chains: new Map([...state.chains].filter(([name]) => SERVICE_ENDS.test(name))), counters: new Map(), sets: new Map() }
    case 'services':
      return { chains: new Map([...state.chains].filter(([name]) => name.startsWith('endpoints/'))), counters: new Map(), sets: filled(state, TRANSLATES) }
    case 'service-sets':
      return { chains: new Map([...state.chains].filter(([name]) => name === 'remember-endpoint')), counters: new Map(), sets: filled(state, DECIDES) }
    case 'profiles':
      return { chains: of(state.chains), counters: of(state.counters), sets: of(state.sets) }
  }
}

const HASH = /(?<![0-9A-Za-z])[0-9A-HJKMNP-TV-Z]{8,16}(?![0-9A-Za-z])/g

function withOrdinals(text: string): string {
  const ordinals = new Map<string, string>()
  return text.replace(HASH, (hash) => {
    const known = ordinals.get(hash) ?? `H${ordinals.size + 1}`
    ordinals.set(hash, known)
    return known
  })
}

/** The pods of n1 on ports of one bridge, with a source prefix each. */
function onBridge({ cluster, options }: GoldenCase): { readonly pipeline: Pipeline; readonly pins: BridgePins } {
  const raw = materialise(cluster)
  const pipeline = new Pipeline({ ...options, nodeName: 'n1', sourcePrefixNamespaces: ['shop'] })
  const pins = new BridgePins()
  pipeline.push(eventsBetween(new Map(), raw).map(sourceEvent))
  const pods = objectsOf(raw, 'Pod').filter((pod) => pod.spec.nodeName === 'n1')
  const prefixes = { 'picket.dev/source-prefixes': '10.9.0.0/16, fd09::/64' }
  pipeline.push(pods.map((pod) => sourceEvent({ verb: 'upsert', object: { ...pod, metadata: { ...pod.metadata, annotations: prefixes } } } as RawEvent)))
  const ports = pods.map((pod, i) => hostInterface({ index: 20 + i, name: `port${i}`, master: 9, behind: { mac: `02:00:00:00:00:0${i}`, addresses: ownAddresses(raw, pod) } }))
  const links = [hostInterface({ index: 9, name: 'cni0', kind: 'bridge' }), ...ports]
  pipeline.push(interfaceEvents(new Map(), new Map(links.map((link) => [String(link.index), link]))))
  pipeline.push(ALL_SYNCED)
  pipeline.turn()
  pins.change(pipeline.planned?.attachments.values() ?? [])
  return { pipeline, pins }
}

function golden(c: GoldenCase): string {
  if (/^(bridged|pin)/.test(c.shows)) {
    const { pipeline, pins } = onBridge(c)
    const [table, state] = c.shows.startsWith('pin') ? [BRIDGE_TABLE, pins.wanted.state] : [TABLE, pipeline.turns.translator.wanted.state]
    return `# ${c.title}\n${withOrdinals(tableBlock(table, shown(state, c.shows)))}`
  }
  const pipeline = compiled(materialise(c.cluster), 'n1', c.options)
  const { nodes = [], services = [], slices = [] } = c.rows ?? {}
  const upserts = (kind: 'node' | 'service' | 'slice', rows: readonly { readonly uid: string }[]): readonly SourceEvent[] =>
    rows.map((row) => ({ verb: 'upsert', kind, key: row.uid, decoded: { kind: 'good', row, problems: [] } }) as unknown as SourceEvent)
  pipeline.push([...upserts('node', nodes), ...upserts('service', services), ...upserts('slice', slices)])
  pipeline.turn()
  // The tracer knows nothing of marks.
  if (c.options?.services === undefined) assert.ok(new Tracer(pipeline.text()).chainCount > 0)
  const block = tableBlock(TABLE, shown(pipeline.turns.translator.wanted.state, c.shows))
  // Marks are numbers as long as hashes, which are in no name there.
  return `# ${c.title}\n${c.options?.services === undefined ? withOrdinals(block) : block}`
}

function fileOf(name: string): string {
  return path.join(import.meta.dirname, `${name}.nft`)
}

/** Lines that went and came, for whoever records anew. */
function difference(before: string, after: string): string {
  const [old, now] = [before.split('\n'), after.split('\n')]
  const went = old.filter((line) => !now.includes(line)).map((line) => `- ${line}`)
  const came = now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`)
  return [...went, ...came].join('\n') || '(the same lines in another order)'
}

describe('golden tables', () => {
  for (const c of GOLDEN_CASES) {
    it(`${c.name}: ${c.title}`, () => {
      const file = fileOf(c.name)
      const text = golden(c)
      assert.ok(text.split('\n').length - 1 <= MAX_LINES, `${c.name} has ${text.split('\n').length - 1} lines, at most ${MAX_LINES} are allowed`)
      const before = existsSync(file) ? readFileSync(file, 'utf8') : ''
      if (process.env['UPDATE_GOLDEN'] === '1' && before !== text) {
        process.stdout.write(`${c.name}:\n${difference(before, text)}\n`)
        writeFileSync(file, text)
        return
      }
      assert.equal(text, before, `${difference(before, text)}\nUPDATE_GOLDEN=1 writes it anew`)
    })
  }

  it('every file has its case, and there are few', () => {
    const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.nft')).map((file) => file.slice(0, -4))
    assert.deepEqual(files.sort(), GOLDEN_CASES.map((c) => c.name).sort())
    assert.ok(files.length <= MAX_FILES)
  })
})
