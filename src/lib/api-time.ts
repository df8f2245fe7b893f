// Times as the API writes them: Time in statuses, MicroTime in Leases and Events.
//
// **Invariant:** a Time has whole seconds, cut off; a MicroTime exactly six digits behind them, or the API server does not read it.

/** `2006-01-02T15:04:05Z`. `wallTime`: milliseconds since 1970. */
export function apiTime(wallTime: number): string {
  return `${new Date(wallTime).toISOString().slice(0, 19)}Z`
}

/** `2006-01-02T15:04:05.000000Z`. `wallTime`: milliseconds since 1970. */
export function microTime(wallTime: number): string {
  return new Date(wallTime).toISOString().replace('Z', '000Z')
}
