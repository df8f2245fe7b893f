// What `picket check` finds: one line each, with a level, a place, and what to do.
//
// Everything that looks, on a node or at the cluster, ends in these; the command line shows them.
// **Invariant:** what is not ok says what to do; `found` and `advice` are one line each.

export type Level = 'ok' | 'warning' | 'error'

/** Stable, for programs. */
export type CheckName =
  | 'api-server' | 'rights' | 'nodes' | 'pods' | 'policies' | 'policy-engine' | 'kube-proxy'
  | 'kernel' | 'conntrack' | 'attachment' | 'firewall' | 'conntrack-mark' | 'routes' | 'sysctl' | 'clock' | 'agent'

export interface Finding {
  readonly level: Level
  readonly check: CheckName
  readonly found: string
  /** What to do; absent where it is ok. */
  readonly advice?: string
}

/** Of the whole cluster, or of one node. */
export interface PlacedFinding extends Finding {
  /** Null: the cluster. */
  readonly node: string | null
}

export function ok(check: CheckName, found: string): Finding {
  return { level: 'ok', check, found }
}

export function warning(check: CheckName, found: string, advice: string): Finding {
  return { level: 'warning', check, found, advice }
}

export function error(check: CheckName, found: string, advice: string): Finding {
  return { level: 'error', check, found, advice }
}

export interface Counts {
  readonly ok: number
  readonly warnings: number
  readonly errors: number
}

export function countsOf(findings: readonly Finding[]): Counts {
  const of = (level: Level): number => findings.filter((one) => one.level === level).length
  return { ok: of('ok'), warnings: of('warning'), errors: of('error') }
}

/** `a, b, c and 4 more`: a line stays a line however many there are. */
export function named(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most).join(', ')
  return names.length <= most ? shown : `${shown} and ${names.length - most} more`
}

/** `1 pod`, `2 pods`, `2 policies`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
