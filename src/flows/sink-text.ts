// A sink as one text of the setting auditSinks: where records go, how, and which.
//
//   stdout?filter=verdict=DROPPED
//   file:/var/log/picket/audit.log?maxSize=100Mi&maxAge=24h&keep=5&compress=true
//   syslog+tls://logs.example:6514?ca=/etc/picket/logs-ca.pem&filter=namespace=shop&filter=not=port=53
//   otlp:https://collector.example:4318/v1/logs?ca=/etc/picket/logs-ca.pem
//
// `filter` is one parameter of the filter grammar (filter.ts), repeated for more. **Invariant:** a text is either read whole, or refused
// with its own words, the parameter, and what was expected.
import { parseDuration } from '../lib/duration.ts'
import { PicketError } from '../lib/errors.ts'
import { printable, show } from '../lib/show.ts'
import { FilterError, parseFilter, type Filter } from './filter.ts'

export type SinkSpec = { readonly filter: Filter } & (StdoutSpec | FileSpec | SyslogSpec | OtlpSpec)

export interface StdoutSpec {
  readonly kind: 'stdout'
}

export interface FileSpec {
  readonly kind: 'file'
  /** Absolute. */
  readonly file: string
  /** Bytes. */
  readonly maxSize: number
  /** Milliseconds. */
  readonly maxAge: number
  readonly keep: number
  readonly compress: boolean
}

export interface SyslogSpec {
  readonly kind: 'syslog'
  readonly tls: boolean
  /** A name or an address; IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** Path of a file in PEM; null: the authorities that Node.js comes with. */
  readonly ca: string | null
}

export interface OtlpSpec {
  readonly kind: 'otlp'
  /** Of the logs, path included. */
  readonly url: string
  /** As above. */
  readonly ca: string | null
}

export class SinkError extends PicketError {
  constructor(text: string, detail: string) {
    super('InvalidSink', `${printable(withoutSecrets(text), 200)}: ${detail}`)
    this.name = 'SinkError'
  }
}

type Parameters = ReadonlyMap<string, string>

const KINDS = 'expected stdout, file:PATH, syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT or otlp:URL'
const DAY_MS = 86_400_000
const SIZES: Readonly<Record<string, number>> = { '': 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 }
/** Two of the longest lines. */
const LEAST_SIZE = 8192
const MOST_KEPT = 1000
/** What stands in a path or a host's name, and harms nothing that shows it. */
const CLEAN_PATH = /^(?!.*\/\.{0,2}(\/|$))\/[^\p{C}\u2028\u2029]{1,1000}$/u
const URL_TEXT = /^https?:\/\/([A-Za-z0-9][-.A-Za-z0-9]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(:[1-9]\d{0,4})?(\/[-.~!$&'()*+,;=:@%/\w]{0,1000})?$/
const HOST = /^([A-Za-z0-9_]([-_.A-Za-z0-9]{0,251}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]{2,45}(%[-.\w]{1,15})?\]):([1-9]\d{0,4})$/

/** Throws SinkError. */
export function parseSink(text: string): SinkSpec {
  const [, target = '', query = ''] = /^([^?]*)(?:\?(.*))?$/s.exec(text) ?? []
  const known = (names: readonly string[]): Parameters => parametersOf(text, query, names)
  const filter = (): Filter => filterOf(text, query)
  if (target === 'stdout') return known([]) && { kind: 'stdout', filter: filter() }
  if (target.startsWith('file:')) return { ...fileOf(text, target.slice('file:'.length), known(['maxSize', 'maxAge', 'keep', 'compress'])), filter: filter() }
  if (target.startsWith('otlp:')) {
    const url = target.slice('otlp:'.length)
    return { ...otlpOf(text, url, known(url.startsWith('https:') ? ['ca'] : [])), filter: filter() }
  }
  const [, protocol, host = ''] = /^syslog\+(tcp|tls):\/\/(.*)$/s.exec(target) ?? []
  if (protocol === undefined) throw new SinkError(text, `no such sink; ${KINDS}`)
  return { ...syslogOf(text, protocol === 'tls', host, known(protocol === 'tls' ? ['ca'] : [])), filter: filter() }
}

/** What is refused is shown, and may have been given a password, or a token as a parameter that there is not. */
function withoutSecrets(text: string): string {
  return text.replace(/(^|\/\/)[^/?\s]*@/, '$1***@').replaceAll(/([?&])(?!(?:filter|ca|maxSize|maxAge|keep|compress)=)([^=&]*)=[^&]*/g, '$1$2=***')
}

/** Of all sinks. Throws SinkError, also where two are the same place. */
export function parseSinks(texts: readonly string[]): readonly SinkSpec[] {
  const specs = texts.map(parseSink)
  const names = specs.map(sinkName)
  const again = names.findIndex((name, index) => names.indexOf(name) !== index)
  if (again !== -1) throw new SinkError(texts[again] as string, `the second sink for ${names[again]}, expected one; join their filters`)
  return specs
}

/** Why they cannot be read; null where they can. */
export function sinksFault(texts: readonly string[]): string | null {
  try {
    parseSinks(texts)
    return null
  } catch (error) {
    if (error instanceof SinkError) return error.message
    throw error
  }
}

/** As in messages and metrics. */
export function sinkName(spec: SinkSpec): string {
  switch (spec.kind) {
    case 'stdout':
      return 'stdout'
    case 'file':
      return `file ${spec.file}`
    case 'syslog':
      return `syslog ${spec.tls ? 'tls' : 'tcp'}://${spec.host.includes(':') ? `[${spec.host}]` : spec.host}:${spec.port}`
    case 'otlp':
      return `otlp ${spec.url}`
  }
}

function parametersOf(text: string, query: string, names: readonly string[]): Parameters {
  const found = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === 'filter') continue
    const shown = show(name).slice(1, -1)
    if (!names.includes(name)) throw new SinkError(text, `${shown}: no such parameter; expected one of ${[...names, 'filter'].join(', ')}`)
    if (found.has(name)) throw new SinkError(text, `${shown}: found more than once, expected one value`)
    found.set(name, value)
  }
  return found
}

/** Each `filter` is a part of a query: one decoding for the sink's text, and one for the query's. */
function filterOf(text: string, query: string): Filter {
  const parts = new URLSearchParams(query).getAll('filter')
  if (parts.includes('')) throw new SinkError(text, 'filter: found nothing, expected NAME=VALUE, such as filter=verdict=DROPPED')
  try {
    return parseFilter(new URLSearchParams(parts.join('&')))
  } catch (error) {
    if (error instanceof FilterError) throw new SinkError(text, `filter: ${error.message}`)
    throw error
  }
}

function fileOf(text: string, path: string, parameters: Parameters): FileSpec {
  const file = decoded(path)
  if (file === null || !CLEAN_PATH.test(file)) throw new SinkError(text, `found ${show(path)}, expected file: with an absolute path, such as file:/var/log/picket/audit.log`)
  const read = <Of>(name: string, otherwise: Of, parse: (value: string) => Of | null, expected: string): Of => {
    const value = parameters.get(name)
    if (value === undefined) return otherwise
    const result = parse(value)
    if (result === null) throw new SinkError(text, `${name}: found ${show(value)}, expected ${expected}`)
    return result
  }
  return {
    kind: 'file',
    file,
    maxSize: read('maxSize', 100 * 2 ** 20, parseSize, 'a size from 8Ki to 1Ti, such as 100Mi'),
    maxAge: read('maxAge', DAY_MS, (value) => parseDuration(value), 'a duration up to 596h, such as 24h'),
    keep: read('keep', 5, (value) => (/^\d{1,4}$/.test(value) && Number(value) <= MOST_KEPT ? Number(value) : null), `a number from 0 to ${MOST_KEPT}`),
    compress: read<boolean>('compress', true, (value) => (value === 'true' ? true : value === 'false' ? false : null), 'true or false'),
  }
}

function syslogOf(text: string, tls: boolean, target: string, parameters: Parameters): SyslogSpec {
  const [, host, , , digits] = HOST.exec(target) ?? []
  const port = Number(digits)
  if (host === undefined || !(port <= 65_535)) throw new SinkError(text, `found ${show(withoutSecrets(target))}, expected HOST:PORT, such as logs.example:6514 or [fd00::5]:6514`)
  return { kind: 'syslog', tls, host: host.replace(/^\[|\]$/g, ''), port, ca: caOf(text, parameters) }
}

function otlpOf(text: string, target: string, parameters: Parameters): OtlpSpec {
  // What a URL may hold besides would be shown in messages (a password), or is not sent (what follows `#`).
  const url = URL_TEXT.test(target) && URL.canParse(target) ? new URL(target) : null
  if (url === null) throw new SinkError(text, `found ${show(withoutSecrets(target))}, expected otlp: with a URL without user and query, such as otlp:https://collector.example:4318/v1/logs`)
  if (url.pathname === '/') url.pathname = '/v1/logs'
  return { kind: 'otlp', url: url.href, ca: caOf(text, parameters) }
}

function caOf(text: string, parameters: Parameters): string | null {
  const ca = parameters.get('ca') ?? null
  if (ca !== null && !CLEAN_PATH.test(ca)) throw new SinkError(text, `ca: found ${show(ca)}, expected an absolute path of a file in PEM`)
  return ca
}

/** Bytes; null where it is none. */
function parseSize(text: string): number | null {
  const [, digits, unit = ''] = /^(\d{1,13})(Ki|Mi|Gi|Ti)?$/.exec(text) ?? []
  const size = Number(digits) * (SIZES[unit] as number)
  return size >= LEAST_SIZE && size <= 2 ** 40 ? size : null
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
