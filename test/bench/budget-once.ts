// What status costs the API server and the operator: a large cluster in continuous churn, hours of it on a clock that does not wait.
//
// The operator's own term (view, summary, publishers, events), two Leases' contenders and the agents' schedules, over an API that counts.
// Rows come decoded; custom resources are read from text. The operator's CPU time is all that this process used but for what stands for
// the rest of the cluster; its memory is the whole process's but for the text of what the API and the agents keep. **Invariant:** every write is counted, those that fail too.
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import type { PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import type { Decoded } from '../../src/model/changes.ts'
import { Leader } from '../../src/kube/leader.ts'
import { ObjectWriter } from '../../src/kube/object-writer.ts'
import { keepHeapTight } from '../../src/lib/heap.ts'
import { operatorResources, type OperatorEvent } from '../../src/operator/resources.ts'
import type { TermState } from '../../src/operator/term-parts.ts'
import { Term } from '../../src/operator/term.ts'
import { Quiet } from '../../src/report/quiet.ts'
import { openLog } from '../../src/telemetry/log.ts'
import { randomFrom } from '../support/random.ts'
import { median, type Figure } from './bench.ts'
import { BudgetApi, type Writer } from './budget-api.ts'
import { BudgetClock } from './budget-clock.ts'
import { BudgetCluster, SIZE } from './budget-cluster.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
/** From a change to its arrival at the operator, several of one moment together. */
const WATCH_MS = 50
/** Nothing is edited any more, and everything is told. */
const REST = 12 * MINUTE

interface Edit {
  readonly at: number
  readonly generation: number
}

class Budget {
  readonly clock = new BudgetClock()
  readonly api = new BudgetApi(this.clock)
  readonly cluster: BudgetCluster
  readonly #random = randomFrom(7)
  readonly #term: Term
  readonly #leaders: readonly Leader[]
  readonly #read = new Map(operatorResources('picket-system').map((resource) => [resource.plural, resource]))
  #waiting: OperatorEvent[] = []
  #texts: { readonly plural: string; readonly text: string }[] = []
  #onEvents: (events: readonly OperatorEvent[]) => void = () => {}
  /** By namespace/name: what was edited last, until the status says that it is enforced. */
  readonly #edits = new Map<string, Edit>()
  readonly toldAfter: number[] = []

  constructor() {
    const { clock, api } = this
    const writer = new ObjectWriter({ transport: api, clock, fieldManager: 'picket-operator' })
    const log = openLog('silent', {})
    this.#leaders = ['a', 'b'].map((identity) => new Leader({ writer, clock, random: this.#random, namespace: 'picket-system', name: 'picket-operator', identity, onStarted: () => undefined, onStopped: () => undefined }))
    this.#term = new Term({
      clock,
      log,
      random: this.#random,
      access: { kubeconfig: null, context: null, apiServers: [] },
      namespace: 'picket-system',
      writer,
      instance: 'picket-operator-a',
      leads: () => this.#leaders.some((leader) => leader.leads()),
      quiet: new Quiet(),
      onStep: () => undefined,
      onTrouble: () => undefined,
      onBroken: (error) => {
        throw error
      },
      watch: ({ onEvents }) => {
        this.#onEvents = onEvents
        return Promise.resolve({ state: () => ({ serverVersion: null, watchList: 'yes', resources: [] }), close: () => Promise.resolve() })
      },
    })
    api.onChange = (plural, text) => void (this.#read.has(plural) && this.#texts.push({ plural, text }))
    this.cluster = new BudgetCluster(SIZE, clock, api, this.#random, (event) => void this.#waiting.push(event))
  }

  async begin(): Promise<void> {
    for (const leader of this.#leaders) leader.start()
    await this.#term.start()
    this.#deliver()
  }

  state(): TermState {
    return this.#term.state()
  }

  edited(key: string, generation: number): void {
    this.#edits.set(key, { at: this.clock.now(), generation })
  }

  async close(): Promise<void> {
    const ended = Promise.all([this.#term.close(), ...this.#leaders.map((leader) => leader.close())])
    await this.clock.advance(MINUTE)
    await ended
  }

  /** What came since the last time reaches the operator. */
  #deliver(): void {
    const texts = this.#texts.splice(0)
    const events = [...this.#waiting.splice(0), ...texts.map(({ plural, text }) => this.#eventOf(plural, text))]
    if (events.length > 0) this.#onEvents(events)
    this.clock.after(WATCH_MS, () => this.#deliver())
  }

  #eventOf(plural: string, text: string): OperatorEvent {
    const raw = JSON.parse(text) as { readonly metadata: { readonly namespace?: string; readonly name: string; readonly uid: string }; readonly status?: PolicyEnforcementStatus & NodeEnforcementStatus }
    const { uid, namespace, name } = raw.metadata
    const resource = this.#read.get(plural)
    const decoded = resource?.read?.(raw, uid) as Decoded<never>
    const edit = this.#edits.get(`${namespace}/${name}`)
    const isTold = raw.status?.policyGeneration === edit?.generation && raw.status?.conditions?.some(({ type, status }) => type === 'Programmed' && status === 'True') === true
    if (edit !== undefined && isTold) {
      this.toldAfter.push(this.clock.now() - edit.at)
      this.#edits.delete(`${namespace}/${name}`)
    }
    return { verb: 'upsert', kind: plural === 'nodeenforcements' ? 'report' : 'status', key: uid, decoded }
  }
}

interface Rate {
  readonly mean: number
  readonly worstMinute: number
}

/** Writes a second. */
function rateOf(api: BudgetApi, who: readonly Writer[], from: number, to: number): Rate {
  const seconds = api.writes(who, from, to)
  const sum = (some: readonly number[]): number => some.reduce((all, one) => all + one, 0)
  const minutes = Array.from({ length: Math.ceil(seconds.length / 60) }, (_, index) => sum(seconds.slice(index * 60, index * 60 + 60)) / 60)
  return { mean: sum(seconds) / seconds.length, worstMinute: Math.max(...minutes) }
}

/** An empty cluster is installed on, and everything is told for the first time. */
async function tellAll(budget: Budget): Promise<readonly Figure[]> {
  const { clock, api, cluster } = budget
  cluster.beginAgents(33 * SECOND)
  const isDone = (): boolean => {
    const { taken, waiting } = budget.state().policies
    return taken >= 2 * cluster.policies.length && waiting === 0
  }
  while (!isDone() && clock.now() < 60 * MINUTE) await clock.advance(10 * SECOND)
  const toldMs = clock.now()
  const { worstMinute } = rateOf(api, ['operator'], 0, toldMs)
  return [
    { name: 'every status for the first time', value: toldMs / SECOND, unit: 's', aim: '' },
    { name: 'every status for the first time: operator, worst minute', value: worstMinute, unit: 'writes/s', aim: '< 15.1' },
    { name: 'every status for the first time: events dropped', value: budget.state().events.dropped, unit: '', aim: '' },
  ]
}

async function churn(budget: Budget, ms: number): Promise<readonly Figure[]> {
  const { clock, api, cluster } = budget
  cluster.onEdit = (policy) => budget.edited(`${policy.namespace}/${policy.name}`, policy.generation)
  cluster.churn()
  // Nodes that had nothing to tell may all write at once.
  await clock.advance(2 * MINUTE)
  const [from, cpu, simulated, before, failed] = [clock.now(), process.cpuUsage(), clock.simulatedMs, budget.state().events.dropped, api.failed]
  let memory = 0
  for (let minute = 0; minute < ms / MINUTE; minute += 1) {
    await clock.advance(MINUTE)
    memory = Math.max(memory, process.memoryUsage().rss / 2 ** 20)
  }
  const { user, system } = process.cpuUsage(cpu)
  cluster.stop()
  const simulatedBytes = api.held + cluster.agents.reduce((sum, { held }) => sum + held, 0)
  const during = (...who: readonly Writer[]): Rate => rateOf(api, who, from, clock.now())
  // In one minute a node writes once or twice: the worst of them depends on where it begins.
  const rates = [['nodes', during('nodes'), '< 30.1', '< 33.4'], ['operator', during('operator'), '< 15.1', '< 15.1'], ['events and leases', during('events', 'leases'), '< 5', '< 5']] as const
  const { toldAfter } = budget
  return [
    ...rates.flatMap(([name, { mean, worstMinute }, aim, worstAim]) => [
      { name: `churn: ${name}`, value: mean, unit: 'writes/s', aim },
      { name: `churn: ${name}, worst minute`, value: worstMinute, unit: 'writes/s', aim: worstAim },
    ]),
    { name: 'churn: writes refused', value: api.failed - failed, unit: '', aim: '' },
    { name: 'churn: events dropped', value: budget.state().events.dropped - before, unit: '', aim: '' },
    { name: 'churn: edits told as programmed', value: toldAfter.length, unit: '', aim: '' },
    { name: 'churn: from an edit to its Programmed, median', value: median(toldAfter) / SECOND, unit: 's', aim: '' },
    { name: 'churn: from an edit to its Programmed, longest', value: Math.max(...toldAfter) / SECOND, unit: 's', aim: '' },
    { name: 'operator: CPU', value: ((user + system) / 1000 - (clock.simulatedMs - simulated)) / ms, unit: 'cores', aim: '< 1' },
    { name: 'operator: memory', value: memory - simulatedBytes / 2 ** 20, unit: 'MB', aim: '< 400' },
    { name: 'memory of what the API and the agents keep', value: simulatedBytes / 2 ** 20, unit: 'MB', aim: '' },
  ]
}

async function oneEdit({ clock, api, cluster }: Budget): Promise<number> {
  const policy = cluster.edit(0)
  const key = `${policy.namespace}/${policy.name}`
  let count = 0
  api.onWrite = (_who, written) => void (count += Number(written === key || written.startsWith(`${key}.`)))
  await clock.advance(MINUTE)
  api.onWrite = () => {}
  return count
}

/** Alone in a process: `node budget-once.mjs MINUTES`. */
async function run(minutes: number): Promise<readonly Figure[]> {
  const note = (text: string): void => void process.stderr.write(`  ${text}\n`)
  keepHeapTight()
  const budget = new Budget()
  const { clock, api, cluster } = budget
  await budget.begin()
  note('every status for the first time')
  const first = await tellAll(budget)
  await clock.advance(REST)
  note(`${minutes} minutes of churn`)
  const churned = await churn(budget, minutes * MINUTE)
  await clock.advance(REST)
  note('one edit, and over half of the nodes silent together')
  const writes = await oneEdit(budget)
  const from = clock.now()
  cluster.silenceHalf(50 * SECOND)
  await clock.advance(MINUTE)
  const silent = api.writes(['operator', 'events'], from, clock.now()).reduce((sum, one) => sum + one, 0)
  await budget.close()
  return [
    ...first,
    ...churned,
    { name: "one edit: writes besides the nodes'", value: writes, unit: '', aim: '< 5' },
    { name: 'over half silent together for 50 s: writes', value: silent, unit: '', aim: '< 1' },
  ]
}

process.stdout.write(JSON.stringify(await run(Number(process.argv[2]))))
