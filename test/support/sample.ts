// Which of many kernel cases to run: all of them, or a sample whose tenth moves with the seed.
//
// `npm test` runs a sample and names what it left out; `npm run test:kernel` runs everything. The runner (test/run.ts)
// says which by environment: PICKET_TEST_WHOLE=1, PICKET_TEST_SEED=N. **Invariant:** any ten seeds in a row, taken
// together, run every id, and any twenty on both attachments.
import { appendFileSync } from 'node:fs'
import type { PodAttachment } from '../../src/lab/testbed.ts'

export const SAMPLE_PARTS = 10
const ATTACHMENTS = ['veth', 'bridge'] as const

/** How pods are attached to their nodes now: in both ways, or in a sample in one, which changes after SAMPLE_PARTS seeds. */
export function attachments(): readonly PodAttachment[] {
  const seed = process.env['PICKET_TEST_SEED']
  if (process.env['PICKET_TEST_WHOLE'] === '1' || seed === undefined) return ATTACHMENTS
  const chosen = Math.floor(Number(seed) / SAMPLE_PARTS) % ATTACHMENTS.length
  leaveOut(ATTACHMENTS.filter((_, index) => index !== chosen).map((one) => `all of it with pods on ${one}`))
  return ATTACHMENTS.filter((_, index) => index === chosen)
}

/** The ids that `seed` picks, in their order: `every` always, and every tenth of the others. */
export function pick(ids: readonly string[], every: readonly string[], seed: number): readonly string[] {
  const always = new Set(every)
  const others = ids.filter((id) => !always.has(id))
  const chosen = new Set(others.filter((_, index) => (index + seed) % SAMPLE_PARTS === 0))
  return ids.filter((id) => always.has(id) || chosen.has(id))
}

/**
 * The ids to run now. `every`: ids that belong to each sample (one for each rule, say); an id there that `ids` lacks is
 * an error, since it would silently cover nothing. Without the runner's word (a file run by hand): seed 0.
 */
export function sampled(ids: readonly string[], { every = [] }: { readonly every?: readonly string[] } = {}): readonly string[] {
  const unknown = every.filter((id) => !ids.includes(id))
  if (unknown.length > 0) throw new Error(`sampled(): no such ids: ${unknown.join(', ')}`)
  if (process.env['PICKET_TEST_WHOLE'] === '1') return ids
  const run = pick(ids, every, Number(process.env['PICKET_TEST_SEED'] ?? '0'))
  const kept = new Set(run)
  leaveOut(ids.filter((id) => !kept.has(id)))
  return run
}

function leaveOut(ids: readonly string[]): void {
  const report = process.env['PICKET_TEST_LEFT_OUT']
  if (report !== undefined && ids.length > 0) appendFileSync(report, ids.map((id) => `${id}\n`).join(''))
}
