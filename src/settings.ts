// The settings of the agent and of the operator as tables: names, defaults, checks and help, from which config.ts makes flags and the
// page its rows.
//
// **Invariant:** everything that can be said of a setting without reading anything is said here, once.
import { sinksFault } from './flows/sink-text.ts'
import { TRAFFIC_LOGS, type TrafficLog } from './model/log-wish.ts'
import { parseCidr } from './model/ip.ts'

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** Where the cluster's objects come from. */
export type Source =
  | { readonly kind: 'manifests'; readonly directory: string }
  /** Kubeconfig and context are null where they are not given, `apiServers` is empty then. */
  | { readonly kind: 'kube'; readonly kubeconfig: string | null; readonly context: string | null; readonly apiServers: readonly string[] }

export interface AgentConfig {
  readonly nodeName: string
  readonly source: Source
  /** Empty where it is not given; these three are part of the source. */
  readonly kubeconfig: string
  readonly context: string
  readonly apiServer: readonly string[]
  /** Path of the Unix socket. */
  readonly socket: string
  /** HOST:PORT, a loopback address. */
  readonly healthAddress: string
  /** HOST:PORT, or `none`. */
  readonly metricsAddress: string
  readonly metricsCounters: number
  readonly newPods: 'deny' | 'allow'
  readonly nodeEgress: 'allow' | 'enforce'
  readonly dropInvalid: boolean
  readonly establishedConnections: 'cut' | 'keep'
  /** Names of namespaces. */
  readonly sourcePrefixNamespaces: readonly string[]
  /** Names of interfaces, or beginnings of names followed by `*`. */
  readonly podInterfaces: readonly string[]
  readonly podAttachment: 'auto' | 'interface' | 'address'
  readonly kernelAccess: 'auto' | 'libnftables' | 'nft'
  /** Milliseconds. */
  readonly resyncInterval: number
  readonly canary: boolean
  /** Milliseconds. */
  readonly canaryInterval: number
  readonly nodeStatus: boolean
  readonly serviceProxy: 'none' | 'picket'
  readonly masquerade: 'none' | 'picket'
  /** HOST:PORT, or `none`. */
  readonly nodeHealthAddress: string
  /** CIDRs, or `primary` alone. */
  readonly nodePortAddresses: readonly string[]
  /** CIDRs. */
  readonly serviceCIDRs: readonly string[]
  /** `0xffffff00` */
  readonly serviceMarkMask: string
  readonly masqueradeAll: boolean
  readonly masqueradeRandomFully: boolean
  /** CIDRs. */
  readonly nonMasqueradeCIDRs: readonly string[]
  readonly auditLog: TrafficLog
  readonly auditGroup: number
  /** Packets a second, as the next two. */
  readonly auditNodeLimit: number
  readonly auditPodLimit: number
  readonly auditSourceLimit: number
  /** As flows/sink-text.ts reads them. */
  readonly auditSinks: readonly string[]
  readonly logLevel: (typeof LOG_LEVELS)[number]
}

export interface OperatorConfig {
  readonly source: Extract<Source, { readonly kind: 'kube' }>
  /** Of the agents, and of the Lease. */
  readonly namespace: string
  /** Of this pod; empty where it is not given. */
  readonly podName: string
  /** HOST:PORT, or `none`. */
  readonly address: string
  readonly logLevel: AgentConfig['logLevel']
}

export type SettingName = keyof AgentConfig

export interface Setting {
  readonly name: string
  readonly type: 'text' | 'choice' | 'boolean' | 'list' | 'duration' | 'number'
  /** As in the file; null: there is none, and the setting is required. */
  readonly default: string | number | boolean | readonly string[] | null
  readonly choices?: readonly string[]
  /** Environment variable that is asked where neither flag nor file has it. */
  readonly env?: string
  /** What a value (an item, of a list) has to look like, and that in words. */
  readonly pattern?: RegExp
  readonly expected?: string
  /** Of a number: the least and the greatest. */
  readonly between?: readonly [least: number, greatest: number]
  /** What the pattern cannot say. */
  readonly valid?: (item: string) => boolean
  /** Of a list: what is wrong with it, in words that name the item; null where nothing is. */
  readonly fault?: (items: readonly string[]) => string | null
  /** Of a list: an item beside which there is no other. */
  readonly alone?: string
  readonly help: string
}

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const DNS_NAME = /^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/
const PORT = '([1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])'
const LOOPBACK = new RegExp(`^(127(\\.(\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])){3}|\\[::1\\]):${PORT}$`)
const ANY_ADDRESS = new RegExp(`^(none|([A-Za-z0-9][-.A-Za-z0-9]{0,252}|\\[[0-9A-Fa-f:.]{2,45}(%[-.\\w]{1,15})?\\]):${PORT})$`)
const isCidr = (item: string): boolean => parseCidr(item) !== null
/** At least 22 bits side by side: what ruleset/marks.ts divides. */
const isMarkMask = (item: string): boolean => /^0*1{22,32}0*$/.test(Number(item).toString(2))

export const SETTINGS: readonly Setting[] = [
  {
    name: 'nodeName', type: 'text', default: null, env: 'NODE_NAME', pattern: DNS_NAME, expected: "a Node's name",
    help: 'the Node this agent enforces for',
  },
  {
    name: 'source', type: 'text', default: 'kube', pattern: /^(kube$|manifests:.)/, expected: 'kube or manifests:DIR',
    help: "where objects come from: kube, the cluster's API server, or manifests:DIR, a folder of YAML and JSON",
  },
  {
    name: 'kubeconfig', type: 'text', default: '', pattern: /^[^\n]{0,255}$/, expected: 'a path of at most 255 characters',
    help: 'kubeconfig to reach the API server with; none: the service account of the pod in which the agent runs',
  },
  {
    name: 'context', type: 'text', default: '', pattern: /^[^\n]{0,253}$/, expected: 'a context of the kubeconfig',
    help: 'context of the kubeconfig; none: its current one',
  },
  {
    name: 'apiServer', type: 'list', default: [], pattern: /^https:\/\/[^\s/?#@]+:\d{1,5}$/, expected: 'https://HOST:PORT',
    help: "API servers, tried in turn, instead of the kubeconfig's or the Service's address: so that no Service is needed to reach them",
  },
  {
    name: 'socket', type: 'text', default: '/run/picket/agent.sock',
    pattern: /^.{1,107}$/, expected: 'a path of at most 107 characters',
    help: 'Unix socket that answers GET /status and /readyz',
  },
  {
    name: 'healthAddress', type: 'text', default: '127.0.0.1:9654', pattern: LOOPBACK, expected: 'a loopback address HOST:PORT, such as 127.0.0.1:9654 or [::1]:9654',
    help: 'where GET /livez and /readyz are answered over HTTP, for probes; always on',
  },
  {
    name: 'metricsAddress', type: 'text', default: '127.0.0.1:9655', pattern: ANY_ADDRESS, expected: 'HOST:PORT, such as 127.0.0.1:9655 or [::]:9655, or none',
    help: 'where GET /metrics is answered over HTTP, for Prometheus; [::]:9655 for everybody who reaches the node, none for nobody',
  },
  {
    name: 'metricsCounters', type: 'number', default: 2000, between: [1, 1_000_000], expected: 'a whole number from 1 to 1000000', help: 'how many rules of policies, and directions of pods, have series of their own in /metrics; the rest is one sum',
  },
  {
    name: 'newPods', type: 'choice', default: 'deny', choices: ['deny', 'allow'],
    help: "forwarded traffic of a pod's interface that no object names yet",
  },
  {
    name: 'nodeEgress', type: 'choice', default: 'allow', choices: ['allow', 'enforce'],
    help: 'whether egress policy applies from a pod to its own node',
  },
  {
    name: 'dropInvalid', type: 'boolean', default: true,
    help: 'drop and count packets from or to pods that conntrack calls invalid',
  },
  {
    name: 'establishedConnections', type: 'choice', default: 'cut', choices: ['cut', 'keep'],
    help: 'connections that policy stops allowing',
  },
  {
    name: 'sourcePrefixNamespaces', type: 'list', default: [], pattern: DNS_LABEL, expected: 'names of namespaces',
    help: 'namespaces whose pods may name further source prefixes by annotation',
  },
  {
    name: 'podInterfaces', type: 'list', default: [],
    pattern: /^(?=.{1,15}$)[^\s/*]*\*?$/, expected: 'names of interfaces, at most 15 characters, with at most one * at the end',
    help: 'interfaces taken for pod interfaces besides those of kind veth (cali*)',
  },
  {
    name: 'podAttachment', type: 'choice', default: 'auto', choices: ['auto', 'interface', 'address'],
    help: "what leads to a pod: an interface with a host route to it, or its address (pods on a bridge)",
  },
  {
    name: 'kernelAccess', type: 'choice', default: 'auto', choices: ['auto', 'libnftables', 'nft'],
    help: 'the way to nf_tables; auto: libnftables, else nft',
  },
  {
    name: 'resyncInterval', type: 'duration', default: '30s',
    help: 'how often the table is read back and compared, beside what the kernel tells, and the node searched for foreign flowtables',
  },
  {
    name: 'canary', type: 'boolean', default: true,
    help: 'prove the table with packets: two pairs of veths of its own (picket-canary0 to 3), over which what is denied has to be dropped, and what is allowed to pass',
  },
  {
    name: 'canaryInterval', type: 'duration', default: '60s',
    help: 'how often the canary sends its packets, 24 of 1 KB',
  },
  {
    name: 'nodeStatus', type: 'boolean', default: true,
    help: "tell in the node's NodeEnforcement what it enforces and what it cannot; needs the CRDs (crds/), and the API server as the source",
  },
  {
    name: 'serviceProxy', type: 'choice', default: 'none', choices: ['none', 'picket'],
    help: 'who translates Services: picket, in place of kube-proxy, or none, which leaves them to another program',
  },
  {
    name: 'nodeHealthAddress', type: 'text', default: '[::]:10256', pattern: ANY_ADDRESS, expected: 'HOST:PORT, such as [::]:10256 or 10.0.0.1:10256, or none',
    help: "where GET /healthz tells load balancers whether this node takes traffic, as kube-proxy does; with serviceProxy: picket only; none for nobody",
  },
  {
    name: 'nodePortAddresses', type: 'list', default: ['primary'], alone: 'primary', valid: (item) => item === 'primary' || isCidr(item), expected: "primary (the node's first address of each family) alone, or CIDRs",
    help: "which of the node's addresses serve node ports",
  },
  {
    name: 'serviceCIDRs', type: 'list', default: [], valid: isCidr, expected: 'CIDRs',
    help: 'where ClusterIPs come from: what is sent to an unused address of them is dropped at once',
  },
  {
    name: 'serviceMarkMask', type: 'text', default: '0xffffff00', pattern: /^0x[0-9a-fA-F]{1,8}$/, valid: isMarkMask, expected: 'a mask of at least 22 bits side by side, such as 0xffffff00',
    help: "the bits of connections' marks that the Service NAT uses; the others are left to other programs",
  },
  {
    name: 'masqueradeAll', type: 'boolean', default: false,
    help: "give what pods send to a ClusterIP the node's address, too",
  },
  {
    name: 'masquerade', type: 'choice', default: 'none', choices: ['none', 'picket'],
    help: "who gives what leaves the cluster the node's address: picket, or none, which leaves it to the network plugin",
  },
  {
    name: 'nonMasqueradeCIDRs', type: 'list',
    default: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16', 'fc00::/7', 'fe80::/10'],
    valid: isCidr, expected: 'CIDRs',
    help: "where pods' traffic keeps its address, besides pods and nodes, where it always does",
  },
  {
    name: 'masqueradeRandomFully', type: 'boolean', default: true,
    help: 'choose the source ports of masqueraded connections at random, so that two of one moment seldom collide',
  },
  {
    name: 'auditLog', type: 'choice', default: 'deny', choices: TRAFFIC_LOGS,
    help: 'which verdicts are logged where no annotation audit.picket.dev/log of a namespace or policy says it: denies by default, since they are few where policies fit, and somebody asks for each; allowed are new connections only',
  },
  {
    name: 'auditGroup', type: 'number', default: 61, between: [1, 65_535], expected: 'a whole number from 1 to 65535',
    help: 'the NFLOG group that log rules write to and the agent reads: another one where some other program reads this',
  },
  {
    name: 'auditNodeLimit', type: 'number', default: 1000, between: [1, 1_000_000], expected: 'a whole number from 1 to 1000000',
    help: 'how many packets a second are logged on the node, of which allowed ones have half at most; what is more is counted only, so that a flood costs the agent no more than this',
  },
  {
    name: 'auditPodLimit', type: 'number', default: 200, between: [1, 1_000_000], expected: 'a whole number from 1 to 1000000',
    help: "how many packets a second are logged of one pod's verdicts in one direction: a fifth of the node's, so that it takes five pods under attack to hide a sixth's",
  },
  {
    name: 'auditSourceLimit', type: 'number', default: 20, between: [1, 1_000_000], expected: 'a whole number from 1 to 1000000',
    help: "how many packets a second are logged of one sender: a tenth of a pod's, so that one that floods hides nobody who calls the same pod, and enough for anybody's retries",
  },
  {
    name: 'auditSinks', type: 'list', default: [], fault: sinksFault, expected: 'sinks such as stdout, file:/var/log/picket/audit.log, syslog+tls://HOST:PORT or otlp:https://HOST:4318/v1/logs',
    help: 'where records of the audit stream go, beside the socket, which always has them: stdout, file:PATH, syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT, otlp:URL, each with ?NAME=VALUE&... (deploy/docs/audit-sinks.md); a comma within one is %2C in the flag',
  },
  { name: 'logLevel', type: 'choice', default: 'info', choices: LOG_LEVELS, help: 'least level that is logged' },
]

/** Where the API server is, as the agent has it. */
const ACCESS = ['kubeconfig', 'context', 'apiServer']

export const OPERATOR_SETTINGS: readonly Setting[] = [
  ...SETTINGS.filter(({ name }) => ACCESS.includes(name)),
  {
    name: 'namespace', type: 'text', default: 'picket-system', env: 'POD_NAMESPACE', pattern: DNS_LABEL, expected: 'the name of a namespace',
    help: "the namespace of the agents' pods, and of the Lease by which operators agree who leads",
  },
  {
    name: 'podName', type: 'text', default: '', env: 'POD_NAME', pattern: /^$|^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/, expected: "a pod's name",
    help: 'the pod in which the operator runs, by which the Lease and events tell it from others',
  },
  {
    name: 'address', type: 'text', default: '[::]:9658', pattern: ANY_ADDRESS, expected: 'HOST:PORT, such as [::]:9658, or none',
    help: 'where GET /livez, /readyz, /metrics and /status are answered over HTTP; none for nobody',
  },
  ...SETTINGS.filter(({ name }) => name === 'logLevel'),
]

/** `nonMasqueradeCIDRs` is `--non-masquerade-cidrs`. */
export function flagOf(name: string): string {
  return `--${optionOf(name).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** As commander names the flag's value. */
export function optionOf(name: string): string {
  return name.replace('CIDRs', 'Cidrs')
}
