// The law of a node's status: whatever happens, no write says of a policy that the kernel holds it where it does not, and in the end
// every policy is told.
//
// Edits, annotations, deletions, lists, refusals, lost answers, restarts and an API server in trouble, in any order; each generation
// opens a port of its own, so that the kernel's table says which one it holds.
// **Invariant:** the kernel is looked at, never the agent.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import { compareVersions } from '../../src/lib/versions.ts'
import type { Policy } from '../../src/model/policy.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { judgeNode, reportOf } from '../../src/summary/node-report.ts'
import { ipBlock, pod, policy, port } from '../support/builders.ts'
import { remove, upsert } from '../support/cluster-feed.ts'
import type { Fate } from '../support/memory-api.ts'
import { NodeWorld, OBJECTS } from '../support/node-world.ts'
import { report, runs } from '../support/runs.ts'

type Step =
  | { readonly kind: 'edit'; readonly name: string; readonly refused: boolean }
  | { readonly kind: 'annotate' | 'delete'; readonly name: string }
  /** `pod`: another pod of the node comes or goes, so that there is something to write. */
  | { readonly kind: 'turn' | 'pod' | 'relist' | 'restart' | 'accept' | 'refuse everything' }
  | { readonly kind: 'lose'; readonly how: 'applied' | 'dropped' }
  /** `slow`: from now on the kernel takes so long for each answer. */
  | { readonly kind: 'pass' | 'slow'; readonly ms: number }
  | { readonly kind: 'trouble'; readonly fate: Fate }

const name = fc.constantFrom('a', 'b', 'c')
const STEPS: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('edit' as const), name, refused: fc.constantFrom(false, false, false, true) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('annotate' as const, 'delete' as const), name }) },
  { weight: 8, arbitrary: fc.constant({ kind: 'turn' as const }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.oneof(fc.nat(200), fc.nat(10_000), fc.nat(70_000)) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('slow' as const), ms: fc.constantFrom(0, 100, 6_000) }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'pod' as const }) },
  { weight: 3, arbitrary: fc.constantFrom('relist' as const, 'restart' as const, 'accept' as const, 'refuse everything' as const).map((kind) => ({ kind })) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), how: fc.constantFrom('applied' as const, 'dropped' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('trouble' as const), fate: fc.constantFrom<Fate>('usual', 'usual', 'refused', 'lost', { status: 500 }, { status: 409 }) }) },
)

/** What the API said of a policy at a version. */
interface Said {
  readonly version: number
  /** Null: it is gone. */
  readonly row: Policy | null
  readonly port: number
  /** The kernel is told to refuse it. */
  readonly refused: boolean
}

class Story {
  world = new NodeWorld()
  checks = 0
  /** Thrown where it is written, they would be taken for the server's. */
  readonly faults: string[] = []
  #version = 100
  #generation = 0
  readonly #said = new Map<string, Said[]>()
  readonly #refused = new Set<string>()
  #slowMs = 0
  #hasPod = false

  async begin(): Promise<void> {
    this.#slowDown()
    this.world.api.onChange = (path, { status }) => {
      if (path === OBJECTS && status) this.#check(status as NodeEnforcementStatus)
    }
    this.world.list()
    await this.world.turn()
  }

  async perform(step: Step): Promise<void> {
    const { world } = this
    switch (step.kind) {
      case 'edit':
        return this.#edit(step.name, step.refused)
      case 'annotate': {
        const last = this.#said.get(step.name)?.at(-1)
        return last === undefined || last.row === null ? undefined : this.#say(step.name, last)
      }
      case 'delete': {
        const row = this.#said.get(step.name)?.at(-1)?.row
        if (row) this.#say(step.name, { row: null, port: 0, refused: false }, row)
        return
      }
      case 'turn':
        return world.turn()
      case 'pass':
        return world.clock.advance(step.ms)
      case 'slow':
        this.#slowMs = step.ms
        return
      case 'pod': {
        this.#hasPod = !this.#hasPod
        const change = this.#hasPod ? upsert : remove
        return world.say((feed) => change(feed, 'pod', pod({ name: 'more', node: 'n1' })))
      }
      case 'relist':
        this.#list()
        return
      case 'restart':
        return this.#restart()
      case 'lose':
        return world.kernel.loseNextAnswer(step.how)
      case 'accept':
        return this.#accept()
      case 'refuse everything':
        world.kernel.refuseText('add')
        this.#refused.add('add')
        return
      case 'trouble':
        world.api.fate = () => step.fate
    }
  }

  /** Nothing is in the way any more. */
  async end(): Promise<void> {
    this.#accept()
    this.#slowMs = 0
    this.world.api.fate = () => 'usual'
    for (let i = 0; i < 4; i++) {
      await this.world.turn()
      await this.world.clock.advance(70_000)
    }
    const { status } = this.world
    assert.deepEqual([status.failures, this.world.said('Ready'), this.world.said('Programmed')], [[], 'True Enforcing', 'True Programmed'])
    for (const [of, said] of this.#said) {
      const last = said.at(-1) as Said
      if (last.row === null) continue
      const { uid, generation } = last.row
      const first = said.find(({ row }) => row?.generation === generation) as Said
      const { state } = judgeNode(last.row, { uid, generation, resourceVersion: String(first.version) }, reportOf('n1', 'x', status), true)
      assert.equal(state, 'programmed', `${of} ${generation} of version ${first.version}: ${JSON.stringify(status)}`)
      assert.deepEqual(this.#held(said), [last.port])
    }
  }

  #slowDown(): void {
    const { kernel, clock } = this.world
    const wait = async (): Promise<void> => {
      if (this.#slowMs > 0) await new Promise<void>((resolve) => void clock.after(this.#slowMs, resolve))
    }
    for (const ask of ['commit', 'check'] as const) {
      const answer = kernel[ask].bind(kernel)
      kernel[ask] = async (transaction) => {
        await wait()
        return answer(transaction)
      }
    }
  }

  /** A commit that is under way comes to its end. */
  async close(): Promise<void> {
    this.#slowMs = 0
    const closed = this.world.close()
    await this.world.clock.advance(10_000)
    await closed
  }

  #edit(of: string, refused: boolean): void {
    this.#generation += 1
    const opened = 2_000 + this.#generation
    if (refused) {
      const text = `tcp . ${opened} `
      this.world.kernel.refuseText(text)
      this.#refused.add(text)
    }
    const row = policy({ name: of, uid: this.#uid(of), generation: this.#generation, pods: 'app=web', ingress: [{ ports: [port(opened)], peers: [ipBlock('10.9.0.0/24')] }] })
    this.#say(of, { row, port: opened, refused })
  }

  /** Another one after each deletion. */
  #uid(of: string): string {
    return `${of}-${(this.#said.get(of) ?? []).filter(({ row }) => row === null).length}`
  }

  #say(of: string, { row, port: opened, refused }: Omit<Said, 'version'>, gone: Policy | null = null): void {
    this.#version += 1
    const said = this.#said.get(of) ?? []
    this.#said.set(of, [...said, { version: this.#version, row, port: opened, refused }])
    if (row !== null) return this.world.edit(String(this.#version), row)
    this.world.say((feed) => remove(feed, 'policy', gone as Policy))
    this.world.versions['networkpolicies'] = String(this.#version)
  }

  #list(): void {
    this.#version += 1
    this.world.list(...[...this.#said.values()].flatMap((said) => said.at(-1)?.row ?? []))
    this.world.versions['networkpolicies'] = String(this.#version)
  }

  async #restart(): Promise<void> {
    const { world } = this
    this.#hasPod = false
    await this.close()
    this.world = new NodeWorld(world)
    this.#list()
    await this.world.turn()
  }

  #accept(): void {
    for (const text of this.#refused) this.world.kernel.acceptText(text)
    this.#refused.clear()
  }

  /** Which ports of the policy are open. */
  #held(said: readonly Said[]): readonly number[] {
    const sets = [...(this.world.kernel.state(TABLE)?.sets.values() ?? [])]
    const open = new Set(sets.flatMap(({ elements }) => [...elements.keys()]).flatMap((key) => /^tcp \. (2\d{3})$/.exec(key)?.[1] ?? []).map(Number))
    return [...new Set(said.map((one) => one.port))].filter((one) => open.has(one))
  }

  #check(status: NodeEnforcementStatus): void {
    const observed = status.observedResourceVersions?.['networkpolicies']
    if (observed === undefined) return
    for (const [of, said] of this.#said) {
      const at = said.findLastIndex(({ version }) => (compareVersions(String(version), observed) ?? 1) <= 0)
      if (at < 0 || status.failures?.some(({ ref }) => ref.name === of) === true) continue
      this.checks += 1
      const since = said.slice(at)
      const held = this.#held(said)
      const why = `${of}, observed ${observed}, held ${held.join()}: ${JSON.stringify([said.map(({ version, port: opened }) => [version, opened]), status.failures])}`
      if (!held.every((one) => since.some((later) => later.port === one))) this.faults.push(`what is older is in force: ${why}`)
      const mayBeClosed = since.some(({ row, refused }) => row === null || refused)
      if (!mayBeClosed && held.length === 0) this.faults.push(`nothing is in force: ${why}`)
      if (since.length === 1 && since[0]?.refused === true && held.length === 0) this.faults.push(`it is refused, and not told: ${why}`)
    }
  }
}

describe('the status of a node, whatever happens', () => {
  it('never says that the kernel holds what it does not, and in the end tells every policy', async () => {
    let checks = 0
    await fc.assert(
      fc.asyncProperty(fc.array(STEPS, { minLength: 5, maxLength: 50, size: 'max' }), async (steps) => {
        const story = new Story()
        try {
          await story.begin()
          for (const step of steps) await story.perform(step)
          await story.end()
          assert.deepEqual(story.faults, [])
        } finally {
          checks += story.checks
          await story.close()
        }
      }),
      runs(60),
    )
    report('node status', checks)
  })
})
