// Where everything of the test cluster is: addresses, names of namespaces and cgroups, folders.
//
// A control namespace (etcd, API server, controllers, scheduler; the bridge that joins all), one namespace a node, one for a
// host outside of the cluster. **Invariant:** every name on the machine that the cluster makes is made here, so that
// teardown.ts can find all of them without knowing how far a start came.
import os from 'node:os'
import path from 'node:path'

/** Another cluster, beside the usual one, has another name: bench `services` has. */
const NAME = process.env['PICKET_CLUSTER_NAME'] ?? 'cluster'
export const PREFIX = `p${NAME}`
/** Of processes and containers, below each hierarchy; what is in it is the cluster's. */
export const CGROUP = `picket-${NAME}`
/** What lasts from one cluster to the next: binaries, images. */
export const CACHE = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'picket-cluster')
/** What goes with the cluster. Not below /var/lib: a node lays something of its own over that. */
export const STATE = `/var/tmp/picket-${NAME}`

export const CONTROL = `${PREFIX}-control`
export const OUTSIDE = `${PREFIX}-outside`
/** Joined to nothing: where the threads of the tests' probes are while they make no sockets. */
export const REST = `${PREFIX}-rest`

export const POD_RANGES = { 4: '10.244.0.0/16', 6: 'fd00:244::/48' } as const
export const SERVICE_RANGES = { 4: '10.96.0.0/16', 6: 'fd00:96::/108' } as const
export const DNS_ADDRESSES = { 4: '10.96.0.10', 6: 'fd00:96::a' } as const
export const DNS_DOMAIN = 'cluster.local'
export const API_PORT = 6443

export interface Addresses {
  readonly 4: string
  readonly 6: string
}

export const CONTROL_ADDRESSES: Addresses = { 4: '192.168.77.1', 6: 'fd00:77::1' }
export const OUTSIDE_ADDRESSES: Addresses = { 4: '192.168.77.200', 6: 'fd00:77::200' }
export const API_SERVER = `https://${CONTROL_ADDRESSES[4]}:${API_PORT}`

/** Numbered from 1. */
export interface NodePlace {
  readonly number: number
  readonly name: string
  readonly netns: string
  readonly addresses: Addresses
  /** On disk, of this node alone. */
  readonly folder: string
}

export const MAX_NODES = 20

export function nodePlace(number: number): NodePlace {
  const name = `node${number}`
  const host = 10 + number
  return { number, name, netns: `${PREFIX}-${name}`, addresses: { 4: `192.168.77.${host}`, 6: `fd00:77::${host}` }, folder: path.join(STATE, name) }
}

export function netnsPath(name: string): string {
  return `/run/netns/${name}`
}

export const FILES = {
  /** What `up` was asked for. */
  options: path.join(STATE, 'options.json'),
  /** The administrator's kubeconfig. */
  kubeconfig: path.join(STATE, 'admin.kubeconfig'),
  /** The API as HTTP without credentials, for whoever may open the file. */
  apiSocket: path.join(STATE, 'api.sock'),
  logs: path.join(STATE, 'logs'),
  /** What the API server was asked to write by Picket's service accounts: a line of JSON each. */
  audit: path.join(STATE, 'logs', 'audit.jsonl'),
} as const

export const ATTACHMENTS = ['veth', 'bridge'] as const
export type Attachment = (typeof ATTACHMENTS)[number]

export interface ClusterOptions {
  readonly nodes: number
  readonly attachment: Attachment
  readonly kubeProxy: boolean
}
