// What a user applies for an ingress of his own: nginx before three Services, two hosts and two paths, and the policies.
//
// **Invariant:** nothing here knows of Picket, nor of how the cluster's nodes translate and judge.
import type { KubeObject } from './api.ts'
import { NGINX_IMAGE } from './image.ts'
import { DNS_DOMAIN } from './layout.ts'

export const SITES = 'sites'
export const BACKENDS = ['shop', 'blog', 'api'] as const
export type Backend = (typeof BACKENDS)[number]
const PORT = 8080

/** What is asked, and which Service is to answer. */
export const ROUTES: readonly { readonly host: string; readonly path: string; readonly by: Backend }[] = [
  { host: 'shop.example', path: '/', by: 'shop' },
  { host: 'shop.example', path: '/api/orders', by: 'api' },
  { host: 'blog.example', path: '/', by: 'blog' },
  { host: 'blog.example', path: '/api/posts', by: 'api' },
]

function nginxConf(lines: readonly string[]): string {
  const inside = ['access_log off;', 'add_header X-Client $remote_addr always;', ...lines].map((line) => `  ${line}\n`).join('')
  return `worker_processes 1;\nerror_log stderr;\npid /tmp/nginx.pid;\nevents {}\nhttp {\n${inside}}\n`
}

const LISTEN = (more: string): string => `listen ${PORT}${more}; listen [::]:${PORT}${more};`

/** Every answer of it is its pod's name; the header X-Client says for whom it took the client. */
export function backendConf(): string {
  return nginxConf([`server { ${LISTEN('')} location / { return 200 "$hostname\\n"; } }`])
}

/** Every name stands for the addresses of both families that DNS gives; none is left out for having failed. */
function ingressConf(): string {
  const site = (name: Backend): string => `server {
    ${LISTEN('')} server_name ${name}.example;
    location / { proxy_pass http://${name}; }
    location /api { proxy_pass http://api; }
  }`
  return nginxConf([
    'proxy_connect_timeout 1s;', 'proxy_hide_header X-Client;',
    ...BACKENDS.map((name) => `upstream ${name} { server ${name}.${SITES}.svc.${DNS_DOMAIN}:80 max_fails=0; }`),
    `server { ${LISTEN(' default_server')} location / { return 404; } location = /healthz { return 200; } }`,
    site('shop'), site('blog'),
  ])
}

export function configMap(namespace: string, name: string, conf: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data: { 'nginx.conf': conf } }
}

/** A container of nginx, and the volume of its configuration. */
export function nginxPod(config: string, { hostPort, path = '/' }: { readonly hostPort?: number; readonly path?: string } = {}): { readonly containers: readonly unknown[]; readonly [field: string]: unknown } {
  const container = {
    name: 'nginx', image: NGINX_IMAGE, imagePullPolicy: 'Never', ports: [{ name: 'http', containerPort: PORT, ...(hostPort === undefined ? {} : { hostPort }) }],
    readinessProbe: { httpGet: { port: 'http', path }, periodSeconds: 1 }, volumeMounts: [{ name: 'config', mountPath: '/etc/nginx' }],
  }
  return { terminationGracePeriodSeconds: 0, automountServiceAccountToken: false, containers: [container], volumes: [{ name: 'config', configMap: { name: config } }] }
}

function workload(name: string, labels: Readonly<Record<string, string>>, pod: object, node: string | null): KubeObject {
  const selector = { matchLabels: { app: name } }
  const spec = { ...pod, ...(node === null ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }) }
  const template = { metadata: { labels: { app: name, ...labels } }, spec }
  return { apiVersion: 'apps/v1', kind: node === null ? 'DaemonSet' : 'Deployment', metadata: { namespace: SITES, name }, spec: { selector, template } }
}

function service(name: string, spec: object): KubeObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace: SITES, name }, spec: { selector: { app: name }, ipFamilyPolicy: 'RequireDualStack', ...spec } }
}

/** Ingress and api on every node; shop and blog on one each. */
export function siteObjects(nodes: { readonly shop: string; readonly blog: string }, nodePort: number): readonly KubeObject[] {
  return [
    configMap(SITES, 'ingress', ingressConf()),
    configMap(SITES, 'backend', backendConf()),
    ...BACKENDS.flatMap((name) => [
      service(name, { ports: [{ name: 'http', port: 80, targetPort: 'http' }] }),
      workload(name, { tier: 'backend' }, nginxPod('backend'), name === 'api' ? null : nodes[name]),
    ]),
    service('ingress', { type: 'LoadBalancer', ports: [{ name: 'http', port: 80, targetPort: 'http', nodePort }] }),
    workload('ingress', {}, nginxPod('ingress', { path: '/healthz' }), null),
  ]
}

export function policy(namespace: string, name: string, spec: object): KubeObject {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name }, spec }
}

const OF_INGRESS = { podSelector: { matchLabels: { app: 'ingress' } } }
const OF_BACKENDS = { podSelector: { matchLabels: { tier: 'backend' } } }

/** Nothing but: names for all, the ingress for anybody, the backends for the ingress. */
export const POLICIES = {
  deny: policy(SITES, 'deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
  dns: policy(SITES, 'dns', {
    podSelector: {}, policyTypes: ['Egress'],
    egress: [{ to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } }, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }], ports: [{ protocol: 'UDP', port: 53 }, { protocol: 'TCP', port: 53 }] }],
  }),
  anybody: policy(SITES, 'anybody-to-ingress', { ...OF_INGRESS, ingress: [{ ports: [{ port: 'http' }] }] }),
  out: policy(SITES, 'ingress-to-backends', { ...OF_INGRESS, policyTypes: ['Egress'], egress: [{ to: [OF_BACKENDS], ports: [{ port: 'http' }] }] }),
  in: policy(SITES, 'backends-from-ingress', { ...OF_BACKENDS, ingress: [{ from: [OF_INGRESS], ports: [{ port: 'http' }] }] }),
} as const
