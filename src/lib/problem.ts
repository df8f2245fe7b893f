// A Problem is something a person should know about: what is wrong, with which object, and what happens now.
//
// Problems are values, never exceptions: everything that can meet bad input returns them beside its result, and
// `report` and `serve` show them. **Invariant:** a problem names its object, and its text says what happens now.

export type Severity = 'error' | 'warning'

export interface Problem {
  /** Stable, CamelCase, for machines: `InvalidField`, `NotEnforced`, `CommitRefused`. */
  readonly code: string
  readonly severity: Severity
  /** The object at fault: `NetworkPolicy shop/web`, `file a.yaml`, `interface veth1`, `node n1`. */
  readonly object: string
  /** The field at fault, as a path (`spec.ingress[0].from[1].ipBlock.cidr`); absent where the whole object is. */
  readonly field?: string
  /** Where the object came from (`a.yaml, document 2`); absent where it came from the API. */
  readonly source?: string
  /** What is wrong, what was expected, and what happens now; one sentence or two, no trailing newline. */
  readonly message: string
  /** Of a bad object: what happens where no good version of it is known. The store makes one sentence of it and the message. */
  readonly otherwise?: string
}

/** A problem's identity: the same trouble of the same object is one problem however often it is reported. */
export function problemKey(p: Problem): string {
  return `${p.code}\0${p.object}\0${p.field ?? ''}\0${p.source ?? ''}\0${p.message}`
}

/** One line for people. */
export function formatProblem(p: Problem): string {
  const where = [p.source, p.object, p.field].filter((part) => part !== undefined).join(': ')
  return `${p.severity}: ${where}: ${p.message}`
}
