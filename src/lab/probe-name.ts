// The names of probes in case files and their output: `v4 8080/TCP`; and of ports on the command line: `8080/tcp`.
//
// **Invariant:** probeName and parseProbeName are each other's inverse.
import type { Family } from '../model/ip.ts'
import { PROTOCOLS, type Protocol } from '../model/objects.ts'
import { PicketError } from '../lib/errors.ts'

/** `v4 8080/TCP` */
export type ProbeName = string

export interface Port {
  readonly protocol: Protocol
  readonly port: number
}

export interface Probe extends Port {
  readonly family: Family
}

export function probeName(probe: Probe): ProbeName {
  return `v${probe.family} ${probe.port}/${probe.protocol}`
}

/** Null where `name` is not of that form. */
export function parseProbeName(name: ProbeName): Probe | null {
  const match = /^v([46]) ([1-9][0-9]{0,4})\/([A-Z]+)$/.exec(name)
  if (match === null) return null
  const port = Number(match[2])
  const protocol = PROTOCOLS.find((one) => one === match[3])
  return protocol === undefined || port > 65535 ? null : { family: match[1] === '4' ? 4 : 6, port, protocol }
}

/** A port as a person writes it: `8080/tcp`, `53/UDP`; TCP where no protocol is said. Throws a PicketError. */
export function parsePort(text: string): Port {
  const match = /^([1-9][0-9]{0,4})(?:\/([a-z]+))?$/i.exec(text)
  const port = Number(match?.[1])
  const protocol = PROTOCOLS.find((one) => one === (match?.[2] ?? 'TCP').toUpperCase())
  if (match === null || port > 65535 || protocol === undefined) {
    throw new PicketError('InvalidFlag', `--port ${text}: expected PORT/PROTOCOL, a port from 1 to 65535 and tcp, udp or sctp, such as 8080/tcp`)
  }
  return { port, protocol }
}

export function portText(port: Port): string {
  return `${port.port}/${port.protocol.toLowerCase()}`
}
