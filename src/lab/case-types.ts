// What a case is, once it has been read: namespaces, pods, and steps of actions and expected matrices.
//
// Made by cases.ts, stepped through by case-world.ts, run by run-cases.ts. **Invariant:** frozen data, no functions.
import type { Address } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { JsonObject } from './case-fields.ts'
import type { ProbeName } from './probe-name.ts'

export type LabelMap = ReadonlyMap<string, string>

export interface CasePort {
  readonly name: string | null
  readonly protocol: Protocol
  readonly port: number
}

export interface CasePod {
  readonly namespace: string
  readonly name: string
  readonly labels: LabelMap
  /** Null: it gets free ones, in the ranges of the case's other pods. */
  readonly addresses: readonly Address[] | null
  /** Null: as the case's other pods have them. */
  readonly ports: readonly CasePort[] | null
}

/** What somebody does to the cluster between two rounds of probes. */
export type Action =
  /** `manifest` is the object as the case has it, readable or not. */
  | { readonly kind: 'createPolicy' | 'updatePolicy'; readonly namespace: string; readonly name: string; readonly manifest: JsonObject }
  | { readonly kind: 'deletePolicy'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'createPod'; readonly pod: CasePod }
  | { readonly kind: 'deletePod'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'setPodLabels'; readonly namespace: string; readonly name: string; readonly labels: LabelMap }
  | { readonly kind: 'createNamespace' | 'setNamespaceLabels' | 'addNamespaceLabels'; readonly namespace: string; readonly labels: LabelMap }
  | { readonly kind: 'deleteNamespace'; readonly namespace: string }

export interface Step {
  readonly actions: readonly Action[]
  /** Keys (`namespace/name`) in the order of rows and columns. */
  readonly pods: readonly string[]
  /** Null: nothing is expected, only observed. */
  readonly expect: ReadonlyMap<ProbeName, readonly string[]> | null
}

export interface CaseStart {
  readonly namespaces: ReadonlyMap<string, LabelMap>
  readonly pods: readonly CasePod[]
}

export interface PolicyCase extends CaseStart {
  readonly id: string
  readonly title: string
  readonly steps: readonly Step[]
}
