// The trial: what an agent would write, whole, for a small cluster, in a table of its own that the kernel judges and drops.
//
// Sample objects go through the same compiler as a cluster's; so what the kernel takes here it takes from an agent.
// **Invariant:** every text is run in check mode only: nothing of it is ever there, not even for a moment.
import { decodeObject } from '../decode/decode.ts'
import { firstError, type Runner } from '../kernel/runner.ts'
import type { SourceEvent } from '../model/changes.ts'
import { diffAtOnce } from '../nft/diff.ts'
import type { Table } from '../nft/objects.ts'
import { render } from '../nft/render.ts'
import { emptyDirty, type TableState } from '../nft/state.ts'
import { BridgePins } from '../ruleset/bridge.ts'
import type { LogOptions } from '../ruleset/log-rules.ts'
import { Translator } from '../ruleset/translate.ts'
import { compile } from './compiled.ts'
import { FEATURES, textOf, TRIAL_TABLE } from './features.ts'

export interface TrialResult {
  /** What nft or the kernel said against table inet; null: taken. */
  readonly inet: string | null
  /** Against table bridge, which only pods on bridges need. */
  readonly bridge: string | null
  /** Against log rules, without which everything else works. */
  readonly log: string | null
  /** Where inet was refused: which features were, each with what provides it. */
  readonly missing: readonly { readonly feature: string; readonly module: string; readonly reason: string }[]
}

/** Of the numbers none matters to the kernel. */
const LOG: LogOptions = { group: 61, nodeLimit: 1_000, podLimit: 200, sourceLimit: 20, denies: true, services: true }
/** Milliseconds: modules may have to be loaded. */
const DEADLINE = 15_000

export async function tryTables(runner: Runner): Promise<TrialResult> {
  const inet = await refusal(runner, inetText())
  const bridge = await refusal(runner, textFor('bridge', new BridgePins().wanted.state))
  const log = inet === null ? await refusal(runner, inetText(LOG)) : null
  const missing: TrialResult['missing'][number][] = []
  for (const feature of inet === null ? [] : FEATURES) {
    const reason = await refusal(runner, textOf(feature))
    if (reason !== null) missing.push({ feature: feature.name, module: feature.module, reason })
  }
  return { inet, bridge, log, missing }
}

async function refusal(runner: Runner, text: string): Promise<string | null> {
  const result = await runner.run({ text, mode: 'check', deadline: DEADLINE })
  if (result.kind === 'done') return null
  return result.kind === 'failed' ? firstError(result.output, text) : result.message
}

/** The static chains, two pods, and a policy with each kind of peer and of port. */
export function inetText(log?: LogOptions): string {
  const { delta } = compile(SAMPLE, 'n1')
  const translator = new Translator({ newPods: 'deny', nodeEgress: 'enforce', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto', ...(log === undefined ? {} : { log }) })
  translator.translate(delta)
  return textFor('inet', translator.wanted.state)
}

function textFor(family: Table['family'], state: TableState): string {
  const transaction = diffAtOnce({ family, name: TRIAL_TABLE }, null, state, emptyDirty(), () => [])
  return transaction === null ? '' : render(transaction)
}

function sample(kind: string, namespace: string, name: string, more: object): SourceEvent {
  const key = `${kind}/${name}`
  const raw = { kind, metadata: { ...(namespace === '' ? {} : { namespace }), name, uid: key, labels: { app: name } }, ...more }
  return { verb: 'upsert', key, ...decodeObject(kind, raw, key) } as SourceEvent
}

const PEERS = [
  { podSelector: { matchLabels: { app: 'api' } } },
  { ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.128/25'] } },
  { ipBlock: { cidr: '2001:db8::/64' } },
]
const PORTS = [{ port: 80 }, { port: 'http' }, { protocol: 'UDP', port: 53 }, { protocol: 'SCTP' }, { port: 8000, endPort: 8999 }]

const SAMPLE: readonly SourceEvent[] = [
  sample('Namespace', '', 'shop', {}),
  sample('Node', '', 'n1', { status: { addresses: [{ type: 'InternalIP', address: '198.51.100.1' }] } }),
  ...['web', 'api'].map((name, i) =>
    sample('Pod', 'shop', name, {
      spec: { nodeName: 'n1', containers: [{ name: 'main', ports: [{ name: 'http', containerPort: 8080 }] }] },
      status: { phase: 'Running', podIPs: [{ ip: `203.0.113.${i + 1}` }, { ip: `2001:db8:1::${i + 1}` }] },
    }),
  ),
  sample('NetworkPolicy', 'shop', 'sample', {
    spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'], ingress: [{ from: PEERS, ports: PORTS }], egress: [{ to: PEERS, ports: PORTS }, { ports: PORTS }] },
  }),
  ...['web', 'api'].map((_, i): SourceEvent => {
    const row = Object.freeze({ index: i + 10, name: `picket${i}`, kind: 'veth', master: 0, addresses: [], hostRoutes: [`203.0.113.${i + 1}`, `2001:db8:1::${i + 1}`], hasWiderRoutes: false, networks: [], behind: null })
    return { verb: 'upsert', kind: 'interface', key: String(row.index), decoded: { kind: 'good', row, problems: [] } }
  }),
]
