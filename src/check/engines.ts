// What others that enforce policies, or carry pods' packets, leave to be seen: chains, tables, interfaces, programs, images.
//
// A data table, for the node's and the cluster's check alike. `beside` enforces at hooks of its own: a packet must pass both.
// `past` carries packets by eBPF or OVS, past the forward hook: there nothing that Picket says holds.
// **Invariant:** a pattern matches what only that product makes.

export interface Engine {
  readonly name: string
  readonly kind: 'beside' | 'past'
  /** Chains of nf_tables and iptables. */
  readonly chains?: RegExp
  /** `family name` */
  readonly tables?: RegExp
  readonly links?: RegExp
  /** As in /proc/PID/comm: 15 characters. */
  readonly programs?: RegExp
  /** Images of DaemonSets, without registry and tag: `calico/node`. */
  readonly images?: RegExp
}

export const ENGINES: readonly Engine[] = [
  {
    name: 'Cilium', kind: 'past', chains: /^(OLD_)?CILIUM_/, links: /^(cilium_(host|net|vxlan|geneve|wg0)|lxc_health)$/, programs: /^cilium-agent$/,
    images: /(^|\/)cilium(-ci)?$/,
  },
  { name: 'GKE Dataplane V2', kind: 'past', images: /(^|\/)(anetd|gke-cilium|cilium-gke)$/, programs: /^anetd$/ },
  { name: 'Antrea', kind: 'past', chains: /^ANTREA-/, links: /^antrea-(gw|tun)\d+$/, programs: /^antrea-agent$/, images: /(^|\/)antrea-(agent|ubuntu|agent-ubuntu|ubi)(-simple)?$/ },
  { name: 'OVN-Kubernetes', kind: 'past', links: /^ovn-k8s-mp\d+$/, programs: /^ovnkube$/, images: /(^|\/)(ovn-kube(-[a-z]+)?|ovnkube|ovn-kubernetes)$/ },
  { name: 'Kube-OVN', kind: 'past', links: /^ovn0$/, programs: /^kube-ovn-daemo/, images: /(^|\/)kube-ovn$/ },
  {
    name: 'Calico', kind: 'beside', chains: /^(cali-|filter-cali-|raw-cali-|mangle-cali-|nat-cali-)/, tables: /^\S+ calico$/, programs: /^(calico-node|calico-felix)$/,
    images: /(^|\/)(calico\/node|calico-node)$/,
  },
  { name: 'kube-router', kind: 'beside', chains: /^KUBE-(ROUTER|NWPLCY|POD-FW)/, programs: /^kube-router$/, images: /(^|\/)kube-router$/ },
  {
    name: 'kube-network-policies', kind: 'beside', tables: /^\S+ kube-network-policies$/, programs: /^(kube-network-po|netpol)$/,
    images: /(^|\/)(kube-network-policies|kube-netpol)$/,
  },
  { name: 'kindnet', kind: 'beside', tables: /^\S+ (kindnet|kindnetd)[\w-]*$/, programs: /^kindnetd$/, images: /(^|\/)kindnet(d)?$/ },
  { name: 'Weave Net', kind: 'beside', chains: /^WEAVE-NPC/, programs: /^weave-npc$/, images: /(^|\/)weave-npc$/ },
  { name: 'the AWS network policy agent', kind: 'beside', programs: /^(aws-eks-nodeage|aws-network-pol)$/, images: /(^|\/)(aws-network-policy-agent|aws-eks-nodeagent)$/ },
  { name: 'Azure NPM', kind: 'beside', chains: /^AZURE-NPM/, programs: /^azure-npm$/, images: /(^|\/)azure-npm$/ },
  { name: 'Romana', kind: 'beside', chains: /^ROMANA-/, programs: /^romana_agent$/, images: /(^|\/)romana\/agent$/ },
]

/** `registry:5000/calico/node:v3.28@sha256:...` -> `registry:5000/calico/node` */
export function imageName(image: string): string {
  return image.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
}

export function advice({ name, kind }: Engine): string {
  return kind === 'past'
    ? `${name} carries packets past the forward hook, where Picket's policies would not hold; use its own policies, or another network plugin`
    : `switch off its network policies or remove it: with two engines a packet has to pass both, and what it leaves behind goes on denying`
}
