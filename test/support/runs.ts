// How often a property is tried, and from which seed: the same two environment variables for every property.
//
// **Invariant:** the seed is always printed, so that any failure can be had again.

export const SEED = Number(process.env['PICKET_PROPERTY_SEED'] ?? Date.now() % 0x7fffffff)

/** For fc.assert: `usual` runs, or what PICKET_PROPERTY_RUNS or the test command's `--runs` says. */
export function runs(usual: number): { readonly numRuns: number; readonly seed: number; readonly endOnFailure: boolean } {
  return { numRuns: Number(process.env['PICKET_PROPERTY_RUNS'] ?? process.env['PICKET_TEST_RUNS'] ?? usual), seed: SEED, endOnFailure: process.env['PICKET_PROPERTY_FAST'] === '1' }
}

/** What a property did, for whoever reads the output. */
export function report(title: string, count: number): void {
  process.stdout.write(`      ${title}: ${count} checks, seed ${SEED} (PICKET_PROPERTY_SEED)\n`)
}
