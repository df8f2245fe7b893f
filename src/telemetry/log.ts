// The agent's log: one JSON line an event, on standard output, by pino, without transports.
//
// **Invariant:** logging never waits and never throws; a closed standard output ends nothing.
import pino from 'pino'

export type Log = pino.Logger

/** `level` is one of pino's: trace, debug, info, warn, error, fatal, silent. */
export function openLog(level: string, fields: Readonly<Record<string, unknown>>): Log {
  return pino({ level, base: fields, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } })
}
