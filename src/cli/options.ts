// The options that commands share, one builder each, so that the same word means the same everywhere.
//
// Commands add them (`command.addOption(namespaceOption())`) and commander hands over the parsed value.
// **Invariant:** every option that two commands have is built here, and its parser says what it expected.
import { InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../lib/duration.ts'
import { PROTOCOLS, type Protocol } from '../model/objects.ts'

/** Null stands for every protocol, or every port. */
export interface PortFilter {
  readonly protocol: Protocol | null
  /** 1-65535 */
  readonly port: number | null
}

const PROTOCOL_OF: ReadonlyMap<string, Protocol> = new Map(PROTOCOLS.map((protocol) => [protocol.toLowerCase(), protocol]))

/** `80/tcp`, `80` (every protocol), `/tcp` (every port). Throws commander's InvalidArgumentError. */
export function parsePort(text: string): PortFilter {
  const match = /^(\d{1,5})?(?:\/([A-Za-z]+))?$/.exec(text)
  const port = match?.[1] === undefined ? null : Number(match[1])
  const protocol = match?.[2] === undefined ? null : (PROTOCOL_OF.get(match[2].toLowerCase()) ?? 'unknown')
  const outOfRange = port !== null && (port < 1 || port > 65535)
  if (match === null || protocol === 'unknown' || outOfRange || (port === null && protocol === null)) {
    throw new InvalidArgumentError('expected PORT/PROTOCOL, PORT or /PROTOCOL: 80/tcp, 80, /udp (ports 1-65535; tcp, udp, sctp)')
  }
  return { protocol, port }
}

/** `80/tcp` again, as it was written. */
export function formatPort({ protocol, port }: PortFilter): string {
  return `${port ?? ''}${protocol === null ? '' : `/${protocol.toLowerCase()}`}`
}

/** Milliseconds. Throws commander's InvalidArgumentError. */
export function durationArgument(text: string): number {
  const ms = parseDuration(text)
  if (ms === null) throw new InvalidArgumentError('expected a duration such as 60s, 500ms or 2m')
  return ms
}

export function namespaceOption(what = 'look at this namespace only'): Option {
  return new Option('-n, --namespace <namespace>', what)
}

export function allNamespacesOption(): Option {
  return new Option('-A, --all-namespaces', 'look at every namespace').conflicts('namespace')
}

/** The first of `formats` is the default. */
export function outputOption(...formats: readonly [string, ...string[]]): Option {
  return new Option('-o, --output <format>', 'form of the output').choices(formats).default(formats[0])
}

export function kubeconfigOption(): Option {
  return new Option('--kubeconfig <file>', 'kubeconfig to reach the API server with')
}

export function contextOption(): Option {
  return new Option('--context <name>', 'context of the kubeconfig')
}

/** `ms` is the default, in milliseconds; so is the parsed value. */
export function timeoutOption(ms: number): Option {
  return new Option('--timeout <duration>', 'give up after this long').argParser(durationArgument).default(ms, `${ms / 1000}s`)
}

export function fromOption(expected = 'NAMESPACE/POD'): Option {
  return new Option('--from <pod>', `who sends: ${expected}`)
}

export function toOption(): Option {
  return new Option('--to <target>', 'who is called: NAMESPACE/POD, NAMESPACE/svc/NAME or an address')
}

export function portOption(): Option {
  return new Option('--port <port>', 'port and protocol: 80/tcp; 80: every protocol; /tcp: every port').argParser(parsePort)
}
