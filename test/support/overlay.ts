// A VXLAN between two nodes of a small cluster, in place of the routes between them: what pods send to the other node goes through it.
//
// **Invariant:** pods that are told of reach each other by the tunnel alone, in both families; hosts still by the underlay.
import { FAMILIES, familyOf, type Address, type Family } from '../../src/model/ip.ts'
import type { RealCluster } from './real-cluster.ts'
import type { RealPod } from './real-objects.ts'

const NODES = ['n1', 'n2'] as const

/** The node's own end, which no Node object lists. */
export function tunnelAddress(node: string, family: Family): Address {
  return `${family === 4 ? '10.244.0.' : 'fd00:244::'}${node.slice(1)}`
}

export function layOverlay(lab: RealCluster, pods: readonly RealPod[]): void {
  for (const [index, node] of NODES.entries()) {
    const peer = NODES[1 - index] as string
    const routes = pods.filter((pod) => pod.node === peer).flatMap(({ addresses }) => addresses.map((address) => {
      const family = familyOf(address)
      return `route replace ${address}/${family === 4 ? 32 : 128} via ${tunnelAddress(peer, family)} dev vx0`
    }))
    const ends = FAMILIES.map((family) => `address add ${tunnelAddress(node, family)}/${family === 4 ? 24 : 64} dev vx0${family === 6 ? ' nodad' : ''}`)
    const link = `link add vx0 type vxlan id 7 local ${lab.nodeAddress(node, 4)} remote ${lab.nodeAddress(peer, 4)} dstport 4789 dev uplink`
    lab.run(node, ['ip', '-batch', '-'], { input: [link, ...ends, 'link set vx0 up', ...routes].join('\n') })
  }
}
