// Rules 91, 101-103: not one packet is missed or leaked while policies are edited and agents are ended and started.
//
// Floods of both families go to one pod, one allowed throughout and one denied throughout; what differs between the
// node's entrance and the pod is the table's doing. `npm test` runs a smaller form, `npm run test:kernel` the whole.
// **Invariant:** every edit allows the one and denies the other; edits and moments follow from the seed that is printed.
import assert from 'node:assert/strict'
import { edited, randomFrom, type Random } from '../support/gapless-edits.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { realPod } from '../support/real-objects.ts'
import { Floods, type Counted } from '../support/real-flood.ts'
import { pause } from '../support/real-wire.ts'

const WHOLE = process.env['PICKET_TEST_WHOLE'] === '1'
const SEED = Number(process.env['PICKET_GAPLESS_SEED'] ?? Date.now() % 0x7fffffff)
const EDITS = WHOLE ? 200 : 20
const RESTARTS = WHOLE ? 100 : 5
/** See gapless-edits.ts. */
const MOVES = process.env['PICKET_GAPLESS_MOVES'] === '1'
/** Of the allowed flow of each family. */
const PACKETS = WHOLE ? 1_000_000 : 50_000
const RATE = { allowed: 30_000, denied: 5_000 }
const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n1', 2, { app: 'web' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'near' })

for (const attachment of ['veth'] as const) {
  describe(`gapless, on ${attachment}, seed ${SEED} (PICKET_GAPLESS_SEED)`, function () {
    this.timeout(300_000)
    let lab: RealCluster
    let floods: Floods | null = null
    let random: Random

    before(async () => {
      lab = await RealCluster.open({ nodes: 1, namespaces: { shop: {} }, pods: [DB, WEB, NEAR] })
    })
    after(() => lab.close())
    beforeEach(async () => {
      random = randomFrom(SEED)
      await lab.policies(...edited(random, MOVES))
    })
    afterEach(() => floods?.close())

    async function flood(scale: number): Promise<Floods> {
      floods = new Floods(lab, { to: 'shop/db', node: 'n1', senders: { 'shop/web': RATE.allowed * scale, 'shop/near': RATE.denied * scale } })
      while (floods.entered('shop/web', 4) === 0 || floods.entered('shop/near', 6) === 0) await pause(20)
      return floods
    }

    function assertGapless(counted: readonly Counted[], atLeast: number): void {
      for (const { from, family, sent, entered, arrived } of counted) {
        const what = `${from} v${family}: ${sent} sent, ${entered} entered the node, ${arrived} arrived`
        if (from === 'shop/near') {
          assert.equal(arrived, 0, `leaked: ${what}`)
          assert.ok(entered > 0, what)
        } else {
          assert.equal(entered - arrived, 0, `missed: ${what}`)
          assert.ok(arrived >= atLeast, what)
        }
      }
      process.stdout.write(`      ${counted.map((one) => `${one.from} v${one.family} ${one.arrived}/${one.entered}`).join(', ')}\n`)
    }

    /** Replaces all policies, without waiting for anybody. */
    async function edit(): Promise<void> {
      for (const id of ['shop/in', 'shop/more']) lab.forget(`NetworkPolicy ${id}`)
      lab.put(...edited(random, MOVES))
      await lab.write()
    }

    it(`rule 91: ${PACKETS} packets of a flow while its policy is edited ${EDITS} times: 0 missed, 0 leaked`, async () => {
      const running = await flood(1)
      for (let i = 0; i < EDITS; i++) {
        await edit()
        await lab.settle()
      }
      while (Math.min(running.entered('shop/web', 4), running.entered('shop/web', 6)) < PACKETS) await edit().then(() => lab.settle())
      assertGapless(await running.stop(), PACKETS)
      assert.deepEqual((await lab.agents.status('n1'))['problems'], [])
    })

    it(`rules 101-103: ${RESTARTS} restarts at any moment, some in the middle of edits: 0 missed, 0 leaked`, async () => {
      const running = await flood(0.3)
      for (let i = 0; i < RESTARTS; i++) {
        await edit()
        await pause(random() * 60)
        await lab.agents.stop('n1', random() < 0.5 ? 'SIGTERM' : 'SIGKILL')
        await lab.agents.start('n1')
        // Half of them are ended before they are ready, at any moment of their start.
        if (random() < 0.5) await lab.settle()
        else await pause(random() * 700)
      }
      await lab.settle()
      assertGapless(await running.stop(), 1_000)
      assert.deepEqual((await lab.agents.status('n1'))['problems'], [])
    })
  })
}
