// The agent's log: one JSON line an event, on standard output, by pino, without transports.
//
// pino's own way to a pipe waits for whoever reads it. **Invariant:** logging never waits and never throws; a standard output that is closed,
// or that nobody reads, ends nothing.
import pino from 'pino'
import { UnblockedWriter } from '../lib/unblocked.ts'

export type Log = pino.Logger

/** `level` is one of pino's: trace, debug, info, warn, error, fatal, silent. */
export function openLog(level: string, fields: Readonly<Record<string, unknown>>): Log {
  const output = new UnblockedWriter(1, (dropped) => `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), ...fields, dropped, msg: 'nobody read the log: lines of it were dropped' })}\n`)
  return pino({ level, base: fields, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } }, output)
}
