// `npm run demo` as a user has it: the whole story, a shop that is not as it should be, and every early end.
//
// Runs the real command line in labs of this run's own names. **Invariant:** whatever ended the demo, its agents,
// namespaces and folders are gone when its process is.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { namespacesOf } from '../../src/lab/leftovers.ts'
import { placesOf } from '../../src/lab/places.ts'
import { endLeftovers } from '../../src/lab/remains.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const SHOP = fileURLToPath(new URL('../../deploy/examples/shop', import.meta.url))
const PLACES = placesOf(`d${process.pid % 1_000_000}`)

interface Ended {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** What to do once the output matches `when`: a signal, or to read no more. */
interface Interruption {
  readonly when: RegExp
  readonly by: NodeJS.Signals | 'no-reader'
}

function demo(args: readonly string[], interruption?: Interruption): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, 'demo', '--name', PLACES.name, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    let interrupted = false
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      out += part
      if (interruption === undefined || interrupted || !interruption.when.test(out)) return
      interrupted = true
      if (interruption.by === 'no-reader') child.stdout.destroy()
      else child.kill(interruption.by)
    })
    child.stderr.setEncoding('utf8').on('data', (part: string) => (err += part))
    child.on('close', (status) => resolve({ status, out, err }))
  })
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

function assertNothingIsLeft(): void {
  assert.deepEqual(namespacesOf(PLACES.prefix), [])
  assert.ok(!existsSync(PLACES.folder), PLACES.folder)
  assert.deepEqual(readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandLine(pid).includes(`${PLACES.folder}/`)), [])
}

type Line = Readonly<Record<string, unknown>> & { readonly scene?: string; readonly shown?: unknown; readonly faults?: readonly string[] }

describe('picket demo', function () {
  this.timeout(120_000)
  after(() => endLeftovers(PLACES))

  it('shows every scene, one JSON line each, in under 30 s, and leaves nothing behind', async () => {
    const { status, out, err } = await demo(['--output', 'json'])
    const lines = out.trimEnd().split('\n').map((line) => JSON.parse(line) as Line)
    assert.equal(status, 0, out + err)
    const [open, policies, edit, cut, mistake, repair, restart, end] = lines as unknown as readonly [Line, Line, Line, Line, Line, Line, Line, Line]
    assert.deepEqual(lines.map((one) => one.scene), ['open', 'policies', 'edit', 'cut', 'mistake', 'repair', 'restart', undefined])
    assert.deepEqual(lines.flatMap((one) => one.faults ?? []), [])
    assert.ok(end['scenes'] === 7 && end['shown'] === 7 && Number(end['seconds']) < 30, JSON.stringify(end))
    assert.deepEqual([open['pairs'], open['reached'], policies['pairs'], policies['reached']], [30, 30, 30, 8])
    for (const flow of edit['edited'] as readonly Record<string, number>[]) {
      assert.ok(Number(flow['denied']) > 100 && Number(flow['deniedAfterMs']) > 0 && Number(flow['allowedAfterMs']) > 0, JSON.stringify(flow))
    }
    assert.ok((mistake['problems'] as readonly string[]).every((one) => /^error: policies\/(api|charts)\.yaml, document 1: .*cidr: found/.test(one)))
    const cutFlows = cut['cut'] as readonly Record<string, unknown>[]
    const kinds = [['UDP', 4], ['UDP', 6], ['TCP', 4], ['TCP', 6]].map(([protocol, family]) => [protocol, family, 'download'])
    assert.deepEqual(cutFlows.map((flow) => [flow['protocol'], flow['family'], flow['direction']]), kinds)
    for (const flow of cutFlows) assert.ok(Number(flow['answered']) > 100 && Number(flow['lastAfterMs']) <= 200, JSON.stringify(flow))
    for (const flow of cut['kept'] as readonly Record<string, number>[]) assert.ok(Number(flow['answered']) > 300, JSON.stringify(flow))
    assert.ok(Number(repair['backMs']) < 5_000, JSON.stringify(repair))
    assert.equal((repair['told'] as Record<string, unknown>)['by'], `nft (process ${String(repair['deletedBy'])})`)
    for (const flow of restart['allowed'] as readonly Record<string, number>[]) assert.ok(Number(flow['answered']) > 300, JSON.stringify(flow))
    for (const flow of restart['denied'] as readonly Record<string, number>[]) assert.ok(Number(flow['sent']) > 300, JSON.stringify(flow))
    assert.deepEqual([edit['lostOtherwise'], cut['lost'], mistake['lost'], repair['lost'], repair['leaked'], restart['lost'], restart['leaked']], [0, 0, 0, 0, 0, 0, 0])
    assertNothingIsLeft()
  })

  it('says in plain text of 80 columns what a policy does not do as it should, with status 1', async () => {
    const shop = mkdtempSync(path.join(os.tmpdir(), 'picket-demo-'))
    try {
      cpSync(SHOP, shop, { recursive: true })
      const file = path.join(shop, 'policies/db.yaml')
      const text = readFileSync(file, 'utf8')
      assert.match(text, /\{app: api\}/)
      writeFileSync(file, text.replace('{app: api}', '{app: front}'))
      const { status, out, err } = await demo(['-f', shop])
      assert.equal(status, 1, out + err)
      assert.match(out, /FAILED This scene did not show what it says it shows:\n +- shop\/api -> shop\/db: meant to be allowed, but over IPv4 it is denied/)
      assert.doesNotMatch(out, /ok \d+ pairs of 30 still reach/)
      assert.deepEqual(out.split('\n').filter((line) => line.length > 80 || /[^ -~]/.test(line)), [])
      assert.match(out, /\n[0-6] of 7 scenes showed what they say/)
      assertNothingIsLeft()
    } finally {
      rmSync(shop, { recursive: true, force: true })
    }
  })

  for (const [what, when] of [['while it sets up', /node n1 is up/], ['in the middle', /^3 {2}/m]] as const) {
    it(`Ctrl-C ${what}: cleans up, says so, and ends as a signal does`, async () => {
      const { status, out } = await demo([], { when, by: 'SIGINT' })
      assert.equal(status, 130)
      assert.match(out, /\nSIGINT: cleaning up\nCleaned up: [^\n]*\n$/)
      assertNothingIsLeft()
    })
  }

  it('cleans up where its reader leaves', async () => {
    const { status, err } = await demo([], { when: /^1 {2}/m, by: 'no-reader' })
    assert.deepEqual([status, err], [0, ''])
    assertNothingIsLeft()
  })

  it('cleans up after an error, which is one line', async () => {
    const shop = mkdtempSync(path.join(os.tmpdir(), 'picket-demo-'))
    try {
      cpSync(SHOP, shop, { recursive: true })
      const file = path.join(shop, 'pods.yaml')
      writeFileSync(file, `${readFileSync(file, 'utf8').replace('{name: front,', '{name: shopfront,')}`)
      const { status, out } = await demo(['-f', shop])
      assert.equal(status, 1, out)
      assert.match(out, /has no pod shop\/front/)
      assertNothingIsLeft()
      const missing = await demo(['-f', path.join(shop, 'nowhere')])
      assert.equal(missing.status, 2)
      assert.match(missing.err, /^picket: .*nowhere: expected the manifests of the shop[^\n]*\n$/)
    } finally {
      rmSync(shop, { recursive: true, force: true })
    }
  })
})
