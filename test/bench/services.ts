// Services at the size of a large cluster: Picket beside kube-proxy in nftables mode, on the same objects of one real API server.
//
// load: from a process's start until its last Service answers. change: one Service, one endpoint. memory: from no objects to
// these. packets: connections and throughput through a ClusterIP, with tables that the proxies left at each size, in turn.
// **Invariant:** one proxy runs at a time; what is compared was measured in one run, in turn.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { sleep } from '../cluster/processes.ts'
import { countOf, median, type Bench, type Figure, type Flags } from './bench.ts'
import { BYTES_PORT, BYTES_TARGET_PORT, endpointAddresses, MOST_SERVICES, PER_SERVICE, PORT, TARGET_PORT, virtualAddress } from './services-objects.ts'
import { changesOf, type Changes } from './services-changes.ts'
import { kubeProxy, picket, Running, wipe, type Proxy } from './services-proxies.ts'
import { milliseconds, Stage, type Station } from './services-stage.ts'

const PARTS = ['load', 'change', 'memory', 'packets'] as const
type Part = (typeof PARTS)[number]
const LOAD_LIMIT_MS = 900_000
/** After which memory is looked at: collectors give back what they took for the load. */
const SETTLE_MS = 15_000
const LEAST_GROWTH_MB = 10
const PACKET_ROUNDS = 12
const PACKET_MS = 300

/** All that was measured of one proxy. */
class Measured {
  readonly loads: number[] = []
  readonly kept: number[] = []
  readonly peak: number[] = []
  readonly added: Changes = { sent: [], answered: [], own: [] }
  readonly changed: Changes = { sent: [], answered: [], own: [] }
  empty = { kept: 0, peak: 0 }
}

interface Wish {
  readonly services: number
  readonly rounds: number
  readonly changes: number
  readonly parts: ReadonlySet<Part>
}

interface Play extends Wish {
  readonly stage: Stage
  readonly note: (text: string) => void
  readonly records: ReadonlyMap<Proxy, Measured>
}

/** Starts it and waits until everything is there; the milliseconds that it took. */
async function loaded(proxy: Proxy, stage: Stage, station: Station, services: number): Promise<{ readonly running: Running; readonly ms: number }> {
  const start = milliseconds()
  const running = new Running(proxy, stage, station)
  try {
    let end = 0
    for (const i of [services - 1, 0, services >> 1]) end = Math.max(end, await station.when('open', LOAD_LIMIT_MS, virtualAddress(i), PORT))
    const counted = await proxy.count(station)
    // Besides: the second port of the first one, the API server's own, the one that changes.
    const expected = { services: services + 3, endpoints: (services + 1) * PER_SERVICE + 2 }
    if (counted.services !== expected.services || counted.endpoints !== expected.endpoints) throw new Error(`${proxy.title}: the last Service answers, and its table has ${JSON.stringify(counted)}, expected ${JSON.stringify(expected)}`)
    return { running, ms: end - start }
  } catch (error) {
    process.stderr.write(`${running.log()}\n`)
    throw error
  }
}

async function measureEmpty({ stage, records, note }: Play, stationOf: (proxy: Proxy) => Station): Promise<void> {
  for (const [proxy, record] of records) {
    const running = new Running(proxy, stage, stationOf(proxy))
    await running.ready()
    await sleep(SETTLE_MS)
    record.empty = running.memory()
    await running.stop()
    await wipe(stationOf(proxy))
    note(`${proxy.title}, no Services: ${text(record.empty.kept)} MB kept, ${text(record.empty.peak)} MB at the peak`)
  }
}

async function measureRun({ stage, services, changes, parts, records, note }: Play, proxy: Proxy, station: Station): Promise<void> {
  const record = records.get(proxy) as Measured
  await wipe(station)
  const { running, ms } = await loaded(proxy, stage, station, services)
  record.loads.push(ms)
  note(`${proxy.title}: ${services} Services after ${text(ms / 1000)} s`)
  if (parts.has('memory')) {
    await sleep(SETTLE_MS)
    const { kept, peak } = running.memory()
    record.kept.push(kept)
    record.peak.push(peak)
    note(`${proxy.title}: ${text(kept)} MB kept, ${text(peak)} MB at the peak`)
  }
  if (parts.has('change')) {
    await changesOf(proxy, station, changes, record.added, record.changed)
    for (const [what, { sent, answered, own }] of [['Service added', record.added], ['endpoint changed', record.changed]] as const) {
      note(`${proxy.title}: ${what}: ${text(median(sent))} ms, ${text(median(answered))} from the answer, ${text(median(own))} of its own (medians of ${sent.length})`)
    }
  }
  await running.stop()
}

interface Variant {
  readonly title: string
  readonly station: Station
  /** null: the endpoint itself. */
  readonly services: number | null
}

type Rates = Readonly<Record<'connections' | 'bytes', number[]>>

async function measurePackets(variants: readonly Variant[], note: (text: string) => void): Promise<ReadonlyMap<string, Rates>> {
  const rates = new Map<string, Rates>(variants.map(({ title }) => [title, { connections: [], bytes: [] }]))
  for (let round = 0; round <= PACKET_ROUNDS; round++) {
    // Every other round backwards, so that nobody is always behind the same one.
    for (const { title, station, services } of round % 2 === 0 ? variants : [...variants].reverse()) {
      const [address, port, bytesPort] = services === null ? [endpointAddresses(0)[0] as string, TARGET_PORT, BYTES_TARGET_PORT] : [virtualAddress(0), PORT, BYTES_PORT]
      const connections = await station.measure('connections', PACKET_MS, address, port)
      const bytes = await station.measure('bytes', PACKET_MS, address, bytesPort)
      // The first warms up.
      if (round === 0) continue
      rates.get(title)?.connections.push(connections)
      rates.get(title)?.bytes.push(bytes)
    }
    note(round === 0 ? 'packets: warmed up' : `packets: round ${round} of ${PACKET_ROUNDS}`)
  }
  return rates
}

/** Medians of the ratios of each round. */
function against(rates: ReadonlyMap<string, Rates>, what: keyof Rates, one: string, other: string): number {
  const [a, b] = [rates.get(one)?.[what] ?? [], rates.get(other)?.[what] ?? []]
  return median(a.map((value, i) => value / (b[i] as number)))
}

function packetFigures(rates: ReadonlyMap<string, Rates>, sizes: readonly number[]): readonly Figure[] {
  const [least, most] = [sizes[0] as number, sizes.at(-1) as number]
  return (['connections', 'bytes'] as const).flatMap((what): Figure[] => {
    const title = what === 'connections' ? 'connections a second' : 'throughput'
    const ratio = (name: string, one: string, other: string, aim = ''): Figure => ({ name: `${title}: ${name}`, value: against(rates, what, one, other), unit: '', aim })
    const bare = median(rates.get('no table')?.[what] ?? [])
    return [
      { name: `${title}, no table, to the endpoint itself`, value: what === 'connections' ? bare : bare / 1e9, unit: what === 'connections' ? '1/s' : 'Gbit/s', aim: '' },
      ...sizes.flatMap((size) => [
        ratio(`Picket, ${size} Services, to no table`, `Picket ${size}`, 'no table'),
        ratio(`kube-proxy, ${size} Services, to no table`, `kube-proxy ${size}`, 'no table'),
        ratio(`${size} Services, Picket to kube-proxy`, `Picket ${size}`, `kube-proxy ${size}`),
      ]),
      ratio(`Picket, ${most} Services to ${least}`, `Picket ${most}`, `Picket ${least}`, '> 0.95'),
      ratio(`kube-proxy, ${most} Services to ${least}`, `kube-proxy ${most}`, `kube-proxy ${least}`),
    ]
  })
}

function changeFigures(title: string, own: Changes, others: readonly (readonly [Proxy, Changes])[]): readonly Figure[] {
  const ms = (name: string, value: number, aim = ''): Figure => ({ name: `${title}: ${name}`, value, unit: 'ms', aim })
  const figures = [
    ms('Picket, from the request', median(own.sent)),
    ms('Picket, from the API server\'s answer', median(own.answered)),
    ms('Picket, from the event to the commit', median(own.own), '< 5'),
  ]
  for (const [{ title: name }, other] of others) {
    if (other.sent.length === 0) continue
    const ratio = (of: string, value: number, aim: string): Figure => ({ name: `${title}: ${name} to Picket, ${of}`, value, unit: '', aim })
    figures.push(
      ms(`${name}, from the request`, median(other.sent)),
      ms(`${name}, from the API server's answer`, median(other.answered)),
      ms(`${name}, its own sync`, median(other.own)),
      ratio('from the request', median(other.sent) / median(own.sent), '> 10'),
      ratio('from the answer', median(other.answered) / median(own.answered), '> 10'),
      ratio('own times', median(other.own) / median(own.own), '> 10'),
    )
  }
  return figures
}

function memoryFigures(own: Measured, other: Measured): readonly Figure[] {
  return (['kept', 'peak'] as const).flatMap((what): Figure[] => {
    const [ours, theirs] = [own, other].map((one) => median(one[what]) - one.empty[what]) as [number, number]
    const title = what === 'kept' ? 'memory kept' : 'memory at the peak, nft that it runs included'
    const mb = (name: string, value: number): Figure => ({ name: `${title}: ${name}`, value, unit: 'MB', aim: '' })
    return [
      mb('Picket without Services', own.empty[what]), mb('Picket, growth', ours), mb('kube-proxy without Services', other.empty[what]), mb('kube-proxy, growth', theirs),
      // What few Services take is lost in what collectors do: there is no ratio then.
      ...(theirs > LEAST_GROWTH_MB ? [{ name: `${title}: growth, Picket to kube-proxy`, value: ours / theirs, unit: '', aim: what === 'kept' ? '< 0.333' : '' }] : []),
    ]
  })
}

function text(value: number): string {
  return value.toPrecision(3)
}

function wishOf(flags: Flags): Wish {
  const parts = String(flags['parts']).split(',')
  for (const part of parts) if (!(PARTS as readonly string[]).includes(part)) throw new Error(`--parts ${part}: expected some of ${PARTS.join(',')}`)
  return { services: countOf(flags, 'services', MOST_SERVICES), rounds: countOf(flags, 'rounds'), changes: countOf(flags, 'changes'), parts: new Set(parts as Part[]) }
}

async function play(wish: Wish, stage: Stage, program: string, note: (text: string) => void): Promise<readonly Figure[]> {
  const [theirs, hurried, ours] = [kubeProxy(null), kubeProxy('1ms'), picket(program)]
  const { services, rounds, parts } = wish
  const records = new Map([theirs, hurried, ours].map((proxy) => [proxy, new Measured()]))
  const of = (proxy: Proxy): Measured => records.get(proxy) as Measured
  const scene: Play = { ...wish, stage, note, records }
  const stationOf = (proxy: Proxy): Station => stage.station(proxy === ours ? 2 : 1)
  if (parts.has('memory')) await measureEmpty({ ...scene, records: new Map([theirs, ours].map((proxy) => [proxy, of(proxy)])) }, stationOf)
  const sizes = parts.has('packets') ? [...new Set([1, Math.min(1_000, services), services])] : [services]
  const variants: Variant[] = [{ title: 'no table', station: stage.station(0), services: null }]
  for (const [index, size] of sizes.entries()) {
    await stage.fill(size)
    const smaller = size < services
    const places = smaller ? [stage.station(3 + 2 * index), stage.station(4 + 2 * index)] : [stage.station(1), stage.station(2)]
    for (const [i, proxy] of [theirs, ours].entries()) {
      variants.push({ title: `${proxy.title} ${size}`, station: places[i] as Station, services: size })
      if (!smaller) continue
      await (await loaded(proxy, stage, places[i] as Station, size)).running.stop()
      note(`${proxy.title}: its table of ${size} is there`)
    }
  }
  if (parts.has('change')) await measureRun({ ...scene, parts: new Set(['change']) }, hurried, stationOf(hurried))
  for (let round = 0; round < rounds; round++) for (const proxy of [theirs, ours]) await measureRun(scene, proxy, stationOf(proxy))
  const figures: Figure[] = []
  if (parts.has('load')) {
    const seconds = [theirs, ours].map((proxy) => median(of(proxy).loads) / 1000) as [number, number]
    // The kernel's part of kube-proxy's load differs much from run to run: who reads the ratio is to see it.
    for (const proxy of [theirs, ours]) for (const [which, pick] of [['shortest', Math.min], ['longest', Math.max]] as const) figures.push({ name: `load: ${proxy.title}, ${which} of ${rounds}`, value: pick(...of(proxy).loads) / 1000, unit: 's', aim: '' })
    figures.push({ name: 'load: kube-proxy', value: seconds[0], unit: 's', aim: '' }, { name: 'load: Picket', value: seconds[1], unit: 's', aim: '' }, { name: 'load: kube-proxy to Picket', value: seconds[0] / seconds[1], unit: '', aim: '> 10' })
  }
  if (parts.has('change')) for (const [title, what] of [['one Service added', 'added'], ['one endpoint changed', 'changed']] as const) figures.push(...changeFigures(title, of(ours)[what], [theirs, hurried].map((proxy) => [proxy, of(proxy)[what]])))
  if (parts.has('memory')) figures.push(...memoryFigures(of(ours), of(theirs)))
  if (parts.has('packets')) figures.push(...packetFigures(await measurePackets(variants, note), sizes))
  return figures
}

export const bench: Bench = {
  name: 'services',
  about: `Services of ${PER_SERVICE} endpoints (IPv4, TCP); --services N (10000), --rounds N of loads (3), --changes N of each kind a round (10), --parts ${PARTS.join(',')}`,
  flags: { services: { type: 'string', default: '10000' }, rounds: { type: 'string', default: '3' }, changes: { type: 'string', default: '10' }, parts: { type: 'string', default: PARTS.join(',') } },
  run: async (note, flags) => {
    const wish = wishOf(flags)
    const root = path.resolve(import.meta.dirname, '../..')
    // Below the clone, where it finds koffi.
    const program = path.join(root, `dist/bench-${process.pid}`)
    execFileSync(process.execPath, [path.join(root, 'src/bootstrap/build.mjs'), program], { stdio: ['ignore', 'inherit', 'inherit'] })
    try {
      return await Stage.with(wish.parts.has('packets') ? 7 : 3, note, (stage) => play(wish, stage, program, note))
    } finally {
      rmSync(program, { recursive: true, force: true })
    }
  },
}
