// What the cluster's facts mean for Services: kube-proxy, alone or beside agents that translate, and how these start.
//
// **Invariant:** an agent's start is judged by the agent's own words (settings.ts), here before it starts.
import { serverFault, WHY_NO_SERVICE } from '../model/api-server.ts'
import type { ClusterFacts } from './cluster-facts.ts'
import { imageName } from './engines.ts'
import { error, ok, warning, type Finding } from './finding.ts'

const KUBE_PROXY = /(^|\/)kube-proxy(-[a-z0-9]+)?$/

export function judgeAgents(facts: ClusterFacts): readonly Finding[] {
  const { agents } = facts
  return agents?.settings.serviceProxy === 'picket' ? [...beside(facts), apiServer(facts)].flat() : [kubeProxy(facts)]
}

function kubeProxy({ kubeProxyMode, unread }: ClusterFacts): Finding {
  const place = 'ConfigMap kube-system/kube-proxy'
  if (kubeProxyMode === null) {
    const why = unread.some(({ what }) => what === 'configmaps') ? 'was not read' : 'is not there or says nothing'
    return ok('kube-proxy', `${place} ${why}; each node tells what it sees`)
  }
  const mode = kubeProxyMode === '' ? 'iptables (its default)' : kubeProxyMode
  if (kubeProxyMode === 'ipvs') {
    return error('kube-proxy', `mode ipvs in ${place}: packets of Services go past the forward hook, and policies would not hold for them`, 'set mode: nftables (or iptables) there, restart kube-proxy, and remove kube-ipvs0 on the nodes')
  }
  return ok('kube-proxy', `mode ${mode} in ${place}`)
}

/** Where a DaemonSet wants no node, it is switched off. */
function beside({ daemonSets, agents }: ClusterFacts): readonly Finding[] {
  const running = daemonSets.filter(({ images, nodes }) => nodes !== 0 && images.some((image) => KUBE_PROXY.test(imageName(image))))
  const translates = `Picket translates Services (DaemonSet ${agents?.daemonSet.namespace}/${agents?.daemonSet.name})`
  return [
    ok('kube-proxy', running.length === 0 ? `${translates}, and no DaemonSet of kube-proxy runs beside it` : translates),
    ...running.map(({ namespace, name }) =>
      warning('kube-proxy', `DaemonSet ${namespace}/${name} runs as well: a connection is translated by whoever comes first`, `when the agents are ready, stop it (kubectl -n ${namespace} delete daemonset ${name}; keep its manifest), then check again for what it leaves on the nodes`),
    ),
  ]
}

function apiServer({ agents, services, unread }: ClusterFacts): readonly Finding[] {
  const { source = '', kubeconfig = '', apiServer: servers = [], serviceCIDRs = [] } = agents?.settings ?? {}
  const place = 'ConfigMap picket-system/picket-agent'
  // What is not known is not judged: the missing right is told.
  if (source !== 'kube' || kubeconfig !== '' || (servers.length === 0 && unread.some(({ what }) => what === 'configmaps of picket-system'))) return []
  const remedy = `set apiServer in the ${place} to addresses of the API servers themselves, such as ["https://10.0.0.10:6443"], and restart the agents`
  if (servers.length === 0) return [error('api-server', `apiServer is not set: ${WHY_NO_SERVICE}`, remedy)]
  const known = new Map(services.flatMap(({ namespace, name, addresses }) => addresses.map((address) => [address, `it is the ClusterIP of Service ${namespace}/${name}`])))
  const faults = servers.flatMap((server) => {
    const what = serverFault(server, serviceCIDRs, known)
    return what === null ? [] : [error('api-server', `apiServer: ${server}: ${what}, and ${WHY_NO_SERVICE}`, remedy)]
  })
  return faults.length > 0 ? faults : [ok('api-server', `agents reach it without a Service (${servers.join(', ')})`)]
}
