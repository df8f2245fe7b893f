// The demo's scenes, in order; what a scene is.
//
// To add a scene: a file demo-scene-NAME.ts that exports a Scene, and its line here. **Invariant:** each scene leaves the
// shop as the next one expects it: pods running, and from the second on the policies of deploy/examples/shop.
import { CUT } from './demo-scene-cut.ts'
import { EDIT } from './demo-scene-edit.ts'
import { MISTAKE } from './demo-scene-mistake.ts'
import { OPEN, POLICIES } from './demo-scene-policies.ts'
import { REPAIR } from './demo-scene-repair.ts'
import { RESTART } from './demo-scene-restart.ts'
import type { Stage } from './demo-stage.ts'
import type { Teller } from './demo-teller.ts'

export interface SceneReport {
  /** What was measured, for `--output json`. */
  readonly facts: Readonly<Record<string, unknown>>
  /** In one sentence, from what was measured. Told only where there are no faults. */
  readonly summary: string
  /** Where the scene did not show what it says it shows; empty: it did. */
  readonly faults: readonly string[]
}

export interface Scene {
  /** For programs. */
  readonly id: string
  /** A sentence without its full stop. */
  readonly title: string
  play(stage: Stage, teller: Teller): Promise<SceneReport>
}

export const SCENES: readonly Scene[] = [OPEN, POLICIES, EDIT, CUT, MISTAKE, REPAIR, RESTART]
