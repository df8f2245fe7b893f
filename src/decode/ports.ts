// The `ports` list of a NetworkPolicy's rules -> ports.
//
// **Invariant:** an unreadable entry opens nothing and the readable ones beside it stay; a list of which nothing could
// be read is [], never 'all'. A port never opens more than its entry says (rule 33).
import type { PolicyPort } from '../model/policy.ts'
import { type FieldReader, isMapping, own } from './fields.ts'
import { PORT_NAME, isPortName } from './names.ts'
import { A_PORT_NUMBER, A_PROTOCOL, isPortNumber, protocolOf } from './protocols.ts'

const PORT_FIELDS = ['protocol', 'port', 'endPort']
const NO_PORT = 'this entry opens no port'

export function readPorts(reader: FieldReader, value: unknown, field: string): 'all' | readonly PolicyPort[] {
  const list = reader.optionalList(value, field, 'this rule opens no port')
  if (list === null) return Object.freeze([])
  // "If this field is empty or missing, this rule matches all ports (traffic not restricted by port)." (rule 28)
  if (list.length === 0) return 'all'
  const ports = list.map((item, i) => readPort(reader, item, `${field}[${i}]`))
  return Object.freeze(ports.filter((port) => port !== null))
}

function readPort(reader: FieldReader, item: unknown, field: string): PolicyPort | null {
  if (!isMapping(item)) return reader.error(field, item, 'a mapping with protocol, port and endPort', NO_PORT)
  reader.warnUnknown(item, field, PORT_FIELDS)
  // "If not specified, this field defaults to TCP." (rule 29)
  const protocol = protocolOf(own(item, 'protocol'))
  if (protocol === null) return reader.error(`${field}.protocol`, own(item, 'protocol'), A_PROTOCOL, NO_PORT)
  const port = own(item, 'port')
  const endPort = own(item, 'endPort')
  if (endPort !== undefined && !isPortNumber(port)) {
    // "This field cannot be defined if the port field is not defined or if the port field is defined as a named (string) port."
    return reader.error(`${field}.endPort`, endPort, 'none, since it needs a port that is a number', NO_PORT)
  }
  // "If this field is not provided, this matches all port names and numbers." Of this protocol only (rule 30).
  if (port === undefined) return Object.freeze({ kind: 'protocol', protocol })
  if (typeof port === 'string') {
    if (isPortName(port)) return Object.freeze({ kind: 'named', protocol, name: port })
    const hint = /^[0-9]+$/.test(port) ? ' or a number without quotes' : ''
    return reader.error(`${field}.port`, port, `${PORT_NAME}${hint}`, NO_PORT)
  }
  if (!isPortNumber(port)) return reader.error(`${field}.port`, port, `${A_PORT_NUMBER} or a name`, NO_PORT)
  if (endPort === undefined) return Object.freeze({ kind: 'range', protocol, first: port, last: port })
  // "The endPort must be equal or greater than port." Both ends belong to the range (rule 32).
  if (!isPortNumber(endPort) || endPort < port) return reader.error(`${field}.endPort`, endPort, `${A_PORT_NUMBER}, not below port ${port}`, NO_PORT)
  return Object.freeze({ kind: 'range', protocol, first: port, last: endPort })
}
