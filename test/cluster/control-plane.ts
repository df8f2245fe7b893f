// The control plane: keys, tokens and kubeconfigs, then etcd, API server, controller manager and scheduler.
//
// All of it in the control namespace. **Invariant:** every component speaks as a user of its own, with the rights that
// Kubernetes gives to that one.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { API_PORT, API_SERVER, CONTROL, CONTROL_ADDRESSES, FILES, POD_RANGES, SERVICE_RANGES, STATE, type NodePlace } from './layout.ts'
import { logOf, runIn, startDaemon, until } from './processes.ts'
import type { Programs } from './programs.ts'

const ROOM = { netns: CONTROL }
const FOLDER = path.join(STATE, 'control')
const file = (name: string): string => path.join(FOLDER, name)
const CERTIFICATES = file('certificates')
/** The API server makes its certificate by itself, with the authority behind it in the same file. */
const CERTIFICATE = path.join(CERTIFICATES, 'apiserver.crt')
const AUTHORITY = file('authority.crt')
const ETCD = 'http://127.0.0.1:2379'
/** Who wrote what, and what came of it: for tests that count the writes of Picket. */
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [
    { level: 'Metadata', verbs: ['create', 'update', 'patch', 'delete'], users: ['agent', 'operator'].map((name) => `system:serviceaccount:picket-system:picket-${name}`) },
    { level: 'None' },
  ],
}

interface User {
  readonly name: string
  readonly groups: readonly string[]
  readonly token: string
}

function userOf(name: string, ...groups: readonly string[]): User {
  return { name, groups, token: randomBytes(16).toString('hex') }
}

export interface ControlPlane {
  /** Path of the kubeconfig that a node's kubelet, or its kube-proxy, uses. */
  kubeconfigOf(user: 'proxy' | NodePlace): string
}

/** Starts etcd and the API server, and resolves when that is ready. Without `controllers` nobody acts on what is in there. */
export async function startControlPlane(programs: Programs, nodes: readonly NodePlace[], controllers = true): Promise<ControlPlane> {
  mkdirSync(FOLDER, { recursive: true, mode: 0o700 })
  const users = {
    admin: userOf('admin', 'system:masters'),
    controllers: userOf('system:kube-controller-manager'),
    scheduler: userOf('system:kube-scheduler'),
    proxy: userOf('system:kube-proxy'),
    ...Object.fromEntries(nodes.map(({ name }) => [name, userOf(`system:node:${name}`, 'system:nodes')])),
  }
  writeFileSync(file('tokens.csv'), Object.values(users).map(({ token, name, groups }) => `${token},${name},${name},"${groups.join(',')}"\n`).join(''), { mode: 0o600 })
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(file('accounts.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  writeFileSync(file('accounts.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  writeFileSync(file('audit-policy.json'), JSON.stringify(AUDIT_POLICY))
  startEtcd(programs)
  startApiServer(programs)
  await until('the API server made its certificate', 60_000, async () => (existsSync(CERTIFICATE) ? true : null), () => logOf('kube-apiserver'))
  writeFileSync(AUTHORITY, readFileSync(CERTIFICATE, 'utf8').slice(readFileSync(CERTIFICATE, 'utf8').lastIndexOf('-----BEGIN')))
  for (const [name, user] of Object.entries(users)) {
    writeFileSync(name === 'admin' ? FILES.kubeconfig : file(`${name}.kubeconfig`), kubeconfigFor(user), { mode: 0o600 })
  }
  await until('the API server is ready', 60_000, async () => {
    const { status } = await runIn(ROOM, [programs.of('kubectl'), '--kubeconfig', FILES.kubeconfig, 'get', '--raw', '/readyz'])
    return status === 0 ? true : null
  }, () => logOf('kube-apiserver'))
  if (controllers) startControllers(programs)
  startDaemon('api-socket', ROOM, [programs.of('kubectl'), '--kubeconfig', FILES.kubeconfig, 'proxy', '--unix-socket', FILES.apiSocket, '--disable-filter', '--reject-paths', '^$'])
  return { kubeconfigOf }
}

function startControllers(programs: Programs): void {
  startDaemon('kube-controller-manager', ROOM, [
    programs.of('kube-controller-manager'), '--kubeconfig', file('controllers.kubeconfig'), '--leader-elect=false', '--bind-address=127.0.0.1',
    '--use-service-account-credentials', '--service-account-private-key-file', file('accounts.key'), '--root-ca-file', AUTHORITY,
    '--allocate-node-cidrs', '--cluster-cidr', ranges(POD_RANGES), '--service-cluster-ip-range', ranges(SERVICE_RANGES), '--cert-dir', file('controllers'),
  ])
  startDaemon('kube-scheduler', ROOM, [programs.of('kube-scheduler'), '--kubeconfig', file('scheduler.kubeconfig'), '--leader-elect=false', '--bind-address=127.0.0.1', '--cert-dir', file('scheduler')])
}

export function kubeconfigOf(user: 'proxy' | NodePlace): string {
  return file(`${user === 'proxy' ? 'proxy' : user.name}.kubeconfig`)
}

function ranges(both: { readonly 4: string; readonly 6: string }): string {
  return `${both[4]},${both[6]}`
}

function startEtcd(programs: Programs): void {
  startDaemon('etcd', ROOM, [programs.of('etcd'), '--data-dir', file('etcd'), '--listen-client-urls', ETCD, '--advertise-client-urls', ETCD, '--listen-peer-urls', 'http://127.0.0.1:2380', '--unsafe-no-fsync'])
}

/** Also to start it again after stopApiServer. */
export function startApiServer(programs: Programs): number {
  return startDaemon('kube-apiserver', ROOM, [
    programs.of('kube-apiserver'), '--etcd-servers', ETCD, '--advertise-address', CONTROL_ADDRESSES[4], '--secure-port', String(API_PORT), '--cert-dir', CERTIFICATES,
    '--token-auth-file', file('tokens.csv'), '--authorization-mode=Node,RBAC', '--allow-privileged',
    '--service-account-issuer=https://kubernetes.default.svc', '--service-account-key-file', file('accounts.pub'), '--service-account-signing-key-file', file('accounts.key'),
    '--service-cluster-ip-range', ranges(SERVICE_RANGES), '--kubelet-preferred-address-types=InternalIP',
    '--audit-policy-file', file('audit-policy.json'), '--audit-log-path', FILES.audit,
  ])
}

function kubeconfigFor({ name, token }: User): string {
  const authority = readFileSync(AUTHORITY).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1', kind: 'Config', 'current-context': 'cluster',
    clusters: [{ name: 'cluster', cluster: { server: API_SERVER, 'certificate-authority-data': authority } }],
    users: [{ name, user: { token } }],
    contexts: [{ name: 'cluster', context: { cluster: 'cluster', user: name } }],
  })
}
