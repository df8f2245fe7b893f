// The soak itself: a short one is clean on both attachments, and one whose agents do not cut is not.
//
// **Invariant:** as a user starts it, by its command line, judged by its JSON and its status.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const SOAK = fileURLToPath(new URL('../soak/main.ts', import.meta.url))
const WHOLE = process.env['PICKET_TEST_WHOLE'] === '1'
const SEED = Number(process.env['PICKET_TEST_SEED'] ?? Math.floor(Date.now() / 1000) % 100_000)
const ATTACHMENTS = WHOLE ? (['veth', 'bridge'] as const) : ([SEED % 2 === 0 ? 'veth' : 'bridge'] as const)

type Fates = Readonly<Record<'right' | 'open' | 'exempt' | 'leaked' | 'lost', number>>
interface Answer {
  readonly soak: string
  readonly wrong: number
  readonly rounds: readonly { readonly edits: number; readonly packets: number; readonly connections: number; readonly fates: Readonly<Record<string, Fates>> }[]
}

function soak(...args: readonly string[]): { readonly status: number | null; readonly answer: Answer; readonly said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SOAK, '--output', 'json', ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 })
  assert.match(stdout, /^\{.*\}\n$/, `status ${status}: ${stderr.slice(-3_000)}`)
  return { status, answer: JSON.parse(stdout) as Answer, said: stderr }
}

describe('the soak', function () {
  this.timeout(300_000)

  for (const attachment of ATTACHMENTS) {
    it(`is clean for a while, pods on ${attachment}, seed ${SEED} (rules 78, 79, 91, 101-108)`, () => {
      const { status, answer, said } = soak('--minutes', '0.4', '--seed', String(SEED), '--attachment', attachment)
      assert.equal(status, 0, said.slice(0, 6_000))
      const [round] = answer.rounds
      assert.deepEqual({ soak: answer.soak, wrong: answer.wrong, rounds: answer.rounds.length }, { soak: 'clean', wrong: 0, rounds: 1 })
      assert.ok((round?.edits ?? 0) >= 5 && (round?.connections ?? 0) >= 30, JSON.stringify(round))
      for (const kind of ['datagram', 'answer', 'message', 'echo']) assert.ok((round?.fates[kind]?.right ?? 0) > 100, `${kind}: ${JSON.stringify(round?.fates)}`)
    })
  }

  if (WHOLE) {
    it('finds that answers go on where agents are told not to cut', () => {
      const { status, answer } = soak('--minutes', '0.4', '--seed', '11', '--attachment', 'veth', '--agent-flag=--established-connections=keep')
      assert.equal(status, 1)
      assert.equal(answer.soak, 'wrong')
      assert.ok((answer.rounds[0]?.fates['answer']?.leaked ?? 0) > 0, JSON.stringify(answer))
    })
  }

  it('a flag that makes no sense is said to be the mistake', () => {
    const { status, stderr } = spawnSync(process.execPath, [SOAK, '--minutes', 'ten'], { encoding: 'utf8' })
    assert.equal(status, 2)
    assert.equal(stderr, 'picket: --minutes: expected a number above 0, got "ten"\n')
  })
})
