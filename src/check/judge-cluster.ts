// What the cluster's facts mean: the server's version, our rights, other engines by their DaemonSets, kube-proxy's mode.
//
// What policies will do is policies.ts's. **Invariant:** what was not read is a finding of its own, with the right that is missing.
import type { ClusterFacts } from './cluster-facts.ts'
import { advice, ENGINES, imageName } from './engines.ts'
import { counted, error, named, ok, warning, type Finding } from './finding.ts'
import { judgeAgents } from './judge-agents.ts'

export function judgeCluster(facts: ClusterFacts): readonly Finding[] {
  return [server(facts), ...rights(facts), ...engines(facts), ...judgeAgents(facts), ...nodes(facts)]
}

function server({ version, versionProblem }: ClusterFacts): Finding {
  if (versionProblem === null) return ok('api-server', `Kubernetes ${version ?? ''}`)
  return warning('api-server', versionProblem.message, 'use Kubernetes 1.32 or later')
}

function rights({ unread }: ClusterFacts): readonly Finding[] {
  if (unread.length === 0) return [ok('rights', 'everything that is asked for may be read')]
  return unread.map(({ what, reason, needed }) => {
    const remedy = `ask as somebody who may read ${what}: what depends on them was not checked`
    return needed ? error('rights', `${what} cannot be read: ${reason}`, remedy) : warning('rights', `${what} cannot be read: ${reason}`, remedy)
  })
}

function engines({ daemonSets, unread }: ClusterFacts): readonly Finding[] {
  if (unread.some(({ what }) => what === 'daemonsets')) return []
  const findings = ENGINES.flatMap((engine) => {
    const found = daemonSets.filter(({ images }) => images.some((image) => engine.images?.test(imageName(image)) === true))
    if (found.length === 0) return []
    const names = named(found.map(({ namespace, name }) => `DaemonSet ${namespace}/${name}`))
    return [(engine.kind === 'past' ? error : warning)('policy-engine', `${engine.name}: ${names}`, advice(engine))]
  })
  return findings.length > 0 ? findings : [ok('policy-engine', `none among ${counted(daemonSets.length, 'DaemonSet')}`)]
}

function nodes({ nodes: all, unread }: ClusterFacts): readonly Finding[] {
  if (unread.some(({ what }) => what === 'nodes')) return []
  const foreign = all.filter(({ os }) => os !== '' && os !== 'linux').map(({ name, os }) => `${name} (${os})`)
  const unready = all.filter(({ ready }) => !ready).map(({ name }) => name)
  return [
    ...(foreign.length > 0 ? [warning('nodes', `${named(foreign)}: Picket enforces on Linux only`, 'policies do not hold for pods on these nodes by Picket')] : []),
    ...(unready.length > 0 ? [warning('nodes', `${named(unready)}: not ready`, 'see kubectl describe node; they are not checked from inside')] : []),
    ...(foreign.length + unready.length === 0 ? [ok('nodes', `${counted(all.length, 'node')}, all of them Linux and ready`)] : []),
  ]
}
