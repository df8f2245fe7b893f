// Times as the API's MicroTime is written, for Leases and Events.
//
// "2006-01-02T15:04:05.000000Z07:00". **Invariant:** exactly six digits, or the API server does not read it.

/** `wallTime`: milliseconds since 1970. */
export function microTime(wallTime: number): string {
  return new Date(wallTime).toISOString().replace('Z', '000Z')
}
