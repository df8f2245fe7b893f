// Errors that are somebody's to act on: a stable code, a sentence, an exit status; never a stack trace.
//
// **Invariant:** main.ts prints a PicketError as one line (`picket: MESSAGE`); anything else is our own bug.

/** 1: the answer is no; 2: could not ask (bad input, no right, nobody there). */
export type ExitStatus = 1 | 2

export class PicketError extends Error {
  readonly code: string
  readonly exit: ExitStatus

  /** `code` in CamelCase (`InvalidFlag`); `message` says what is wrong, what was expected and what to do. */
  constructor(code: string, message: string, exit: ExitStatus = 2) {
    super(message)
    this.name = 'PicketError'
    this.code = code
    this.exit = exit
  }
}

/** What to show of an error of unknown kind: its message, without a stack. */
export function messageOf(error: unknown): string {
  // Such as Node.js has it of a host with several addresses of which none answers: all it says is in its parts.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
