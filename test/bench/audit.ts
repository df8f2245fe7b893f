// What the audit costs under a flood of denied packets, and whether its counts are exact: logging off, default limits, no limits, in turn.
//
// A real node with a real agent; a pod sends denied datagrams as fast as a core can while another one downloads over TCP. Then the same
// flood into ulogd2, by the log rules that the agent left. **Invariant:** throughput is a ratio to logging off in the same round.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { RealCluster } from '../support/real-cluster.ts'
import { ingress } from '../support/real-objects.ts'
import { bench as aggregate } from './audit-aggregate.ts'
import { AuditStage, DB, FLOODER, STREAM, STREAM_PORT, VARIANTS, WEB, type Measured, type Variant } from './audit-stage.ts'
import { floodUlogd } from './audit-ulogd.ts'
import { countOf, median, type Bench, type Figure, type Flags } from './bench.ts'

async function run(note: (text: string) => void, flags: Flags): Promise<readonly Figure[]> {
  const [seconds, rounds, rate] = [countOf(flags, 'seconds', 300), countOf(flags, 'rounds', 100), countOf(flags, 'rate', 10_000_000)]
  const lab = await RealCluster.open({ nodes: 1, agents: false, namespaces: { shop: {} }, pods: [DB, WEB, FLOODER] })
  const stage = new AuditStage(lab, seconds, rate)
  const server = spawn('nsenter', [`--net=${lab.testbed.netnsOf(lab.source(DB.key))}`, '--', process.execPath, STREAM, 'server', String(STREAM_PORT)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const all: Record<Variant, Measured[]> = { off: [], limited: [], unlimited: [] }
  let ulogd: Awaited<ReturnType<typeof floodUlogd>> = null
  try {
    await once(server.stdout, 'data')
    stage.watch()
    lab.put(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ protocol: 'TCP', port: STREAM_PORT }] }))
    await lab.write()
    for (let round = 0; round < rounds; round++) {
      for (const variant of order(round)) {
        const one = await stage.measure(variant)
        all[variant].push(one)
        note(`round ${round + 1}, ${variant}: ${Math.round(one.rate)} denied/s, ${Math.round(one.throughput / 1e6)} MB/s allowed, ${one.cores.toFixed(2)} cores, ${one.leaked} leaked, denied ${one.denied} = suppressed ${one.denied - one.logged} + recorded ${one.recorded} + lost ${one.lost}${one.recorded + one.lost === one.logged || variant === 'off' ? '' : ' (NOT EXACT)'}`)
      }
    }
    ulogd = await floodUlogd(stage, note)
  } finally {
    const ended = once(server, 'close')
    server.stdin.end()
    // A process that is just ending would be taken for the lab's owner.
    if (server.exitCode === null && server.signalCode === null) await ended
    await lab.close()
  }
  return [...figuresOf(all), ...(ulogd ?? []), ...(await aggregate.run(note, {}))]
}

/** Each variant is the first, the second and the last of a round in turn. */
function order(round: number): readonly Variant[] {
  const variants = Object.keys(VARIANTS) as Variant[]
  return variants.map((_, index) => variants[(index + round) % variants.length] as Variant)
}

function figuresOf(all: Readonly<Record<Variant, readonly Measured[]>>): readonly Figure[] {
  const ratios = (variant: Variant): readonly number[] => all[variant].map((one, round) => one.throughput / (all.off[round]?.throughput ?? NaN))
  const ratio = (variant: Variant): number => median(ratios(variant))
  // How far apart the measurements without any log are: a ratio nearer to 1 than that says little.
  const offs = all.off.map(({ throughput }) => throughput)
  const off = (variant: Variant): number => all[variant].reduce((sum, { logged, recorded, lost }) => sum + Math.abs(logged - recorded - lost), 0)
  const loss = (variant: Variant): number => median(all[variant].map(({ lost, logged }) => (100 * lost) / Math.max(1, logged)))
  const grown = median(all.limited.map(({ memory: [before, after] }) => (after - before) / 1e6))
  return [
    { name: 'denied packets a second, logging off', value: median(all.off.map(({ rate }) => rate)), unit: '1/s', aim: '> 200000' },
    { name: 'allowed throughput, default limits, to logging off', value: ratio('limited'), unit: '', aim: '> 0.95' },
    { name: 'allowed throughput, default limits: lowest of the rounds', value: Math.min(...ratios('limited')), unit: '', aim: '' },
    { name: 'allowed throughput, default limits: highest of the rounds', value: Math.max(...ratios('limited')), unit: '', aim: '' },
    { name: 'allowed throughput, logging off: lowest to highest round', value: Math.min(...offs) / Math.max(...offs), unit: '', aim: '' },
    { name: 'denied packets a second, default limits', value: median(all.limited.map(({ rate }) => rate)), unit: '1/s', aim: '' },
    { name: 'allowed throughput, no limits, to logging off', value: ratio('unlimited'), unit: '', aim: '' },
    { name: 'agent, default limits', value: median(all.limited.map(({ cores }) => cores)), unit: 'cores', aim: '< 0.5' },
    { name: 'agent, no limits', value: median(all.unlimited.map(({ cores }) => cores)), unit: 'cores', aim: '' },
    { name: 'memory of the agent, grown by a flood, default limits', value: grown, unit: 'MB', aim: '' },
    { name: 'denied packets that came to the server', value: Object.values(all).flat().reduce((sum, { leaked }) => sum + leaked, 0), unit: '', aim: '< 1' },
    { name: 'packets not told of, default limits', value: off('limited'), unit: '', aim: '< 1' },
    { name: 'packets not told of, no limits', value: off('unlimited'), unit: '', aim: '< 1' },
    { name: 'told as lost, no limits', value: loss('unlimited'), unit: '%', aim: '' },
    { name: 'agent, no limits: CPU for each logged packet', value: median(all.unlimited.map(({ cpuEach }) => cpuEach)) * 1e6, unit: 'us', aim: '' },
    { name: 'recorded a second, no limits', value: median(all.unlimited.map(({ recorded, denied, rate }) => (rate * recorded) / Math.max(1, denied))), unit: '1/s', aim: '' },
  ]
}

export const bench: Bench = {
  name: 'audit',
  about: 'a flood of denied packets: what the audit costs allowed traffic and the agent, whether its counts are exact, and ulogd2 beside it',
  flags: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '6' }, rate: { type: 'string', default: '200000' } },
  run,
}
