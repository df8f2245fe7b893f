// What every cluster has running in it: CoreDNS behind the Service kube-dns, both families.
//
// **Invariant:** names and labels are those of any cluster's, since policies and tools look for them.
import { COREDNS_IMAGE } from './images.ts'
import { API_PORT, CONTROL_ADDRESSES, DNS_ADDRESSES, DNS_DOMAIN } from './layout.ts'

const LABELS = { 'k8s-app': 'kube-dns' }
const META = { name: 'coredns', namespace: 'kube-system' }

const COREFILE = `.:53 {
  errors
  health
  ready
  kubernetes ${DNS_DOMAIN} in-addr.arpa ip6.arpa {
    pods insecure
    ttl 5
  }
  cache 5
  reload
}
`

export function dnsManifests(): unknown {
  const probe = (port: number, path: string): unknown => ({ httpGet: { port, path }, periodSeconds: 2 })
  const container = {
    name: 'coredns', image: COREDNS_IMAGE, imagePullPolicy: 'Never', args: ['-conf', '/etc/coredns/Corefile'],
    ports: [{ name: 'dns', containerPort: 53, protocol: 'UDP' }, { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' }],
    readinessProbe: probe(8181, '/ready'), livenessProbe: probe(8080, '/health'),
    volumeMounts: [{ name: 'config', mountPath: '/etc/coredns' }],
    // Without kube-proxy the Service kubernetes leads nowhere.
    env: [{ name: 'KUBERNETES_SERVICE_HOST', value: CONTROL_ADDRESSES[4] }, { name: 'KUBERNETES_SERVICE_PORT', value: String(API_PORT) }],
  }
  const rules = [
    { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
  ]
  const port = (name: string, protocol: string): unknown => ({ name, port: 53, targetPort: 53, protocol })
  return list([
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: META },
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'system:coredns' }, rules },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name: 'system:coredns' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:coredns' }, subjects: [{ kind: 'ServiceAccount', ...META }],
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: META, data: { Corefile: COREFILE } },
    {
      apiVersion: 'apps/v1', kind: 'Deployment', metadata: { ...META, labels: LABELS },
      spec: {
        replicas: 1, selector: { matchLabels: LABELS },
        template: {
          metadata: { labels: LABELS },
          spec: {
            serviceAccountName: 'coredns', priorityClassName: 'system-cluster-critical', dnsPolicy: 'Default', terminationGracePeriodSeconds: 1,
            tolerations: [{ operator: 'Exists' }], containers: [container], volumes: [{ name: 'config', configMap: { name: 'coredns' } }],
          },
        },
      },
    },
    {
      apiVersion: 'v1', kind: 'Service', metadata: { name: 'kube-dns', namespace: 'kube-system', labels: LABELS },
      spec: {
        selector: LABELS, ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv4', 'IPv6'], clusterIP: DNS_ADDRESSES[4], clusterIPs: [DNS_ADDRESSES[4], DNS_ADDRESSES[6]],
        ports: [port('dns', 'UDP'), port('dns-tcp', 'TCP')],
      },
    },
  ])
}

export function list(items: readonly unknown[]): unknown {
  return { apiVersion: 'v1', kind: 'List', items }
}
