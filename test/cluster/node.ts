// A node: a network and a mount namespace, held open by a process, in which containerd, kubelet and kube-proxy run.
//
// Mounts of its own hide the machine's /run, /opt, /etc/cni and what kubelet and containerd keep, so that two nodes are
// two. **Invariant:** whatever a node writes is below its own folder or in memory, and goes with it.
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { ControlPlane } from './control-plane.ts'
import { startKubeProxy } from './kube-proxy.ts'
import { DNS_ADDRESSES, DNS_DOMAIN, type Attachment, type NodePlace } from './layout.ts'
import { POD_IMAGE } from './images.ts'
import { logOf, mustRun, runIn, startDaemon, until, type Room } from './processes.ts'
import type { Programs } from './programs.ts'

/** Debian's packages containerd, runc and containernetworking-plugins. */
const PLUGINS = '/usr/lib/cni'
const SOCKET = '/run/containerd/containerd.sock'
/** Of a node: where the machine's own are hidden by folders of the node's. */
const OWN_FOLDERS = ['var/lib/containerd', 'var/lib/kubelet', 'var/lib/cni', 'var/log', 'opt'] as const

/**
 * /etc is laid over, so that /etc/cni can be made without touching the machine's; so is /var/lib, for the same reason.
 * Their upper sides are in memory: an overlay's must not lie below its lower one.
 */
const HOLD = `
set -e
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/etc /mnt/etc-work /mnt/lib /mnt/lib-work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/etc-work /etc
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/mnt/lib,workdir=/mnt/lib-work /var/lib
mount -t tmpfs tmpfs /run
mkdir -p /etc/cni/net.d /run/lock
for folder in ${OWN_FOLDERS.join(' ')}; do
  mkdir -p "/$folder"
  mount --bind "$1/$folder" "/$folder"
done
mount --make-rshared /
touch "$1/held"
exec sleep infinity
`

export interface RunningNode {
  readonly place: NodePlace
  /** Its network and its mounts. */
  readonly room: Room
}

export interface KubeletOptions {
  readonly programs: Programs
  readonly kubeProxy: boolean
  readonly control: ControlPlane
}

/** Up to a containerd that answers; the network is there. */
export async function startNode(place: NodePlace): Promise<RunningNode> {
  for (const folder of OWN_FOLDERS) mkdirSync(path.join(place.folder, folder), { recursive: true })
  cpSync(PLUGINS, path.join(place.folder, 'opt/cni/bin'), { recursive: true, dereference: true })
  const held = path.join(place.folder, 'held')
  const holder = startDaemon(`${place.name}-holder`, { netns: place.netns }, ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', HOLD, 'sh', place.folder])
  await until(`${place.name}: its mounts`, 10_000, async () => (existsSync(held) ? true : null), () => logOf(`${place.name}-holder`))
  // The process became nsenter, then unshare, then the shell, then sleep, with one id all along.
  const room: Room = { holder }
  const config = path.join(place.folder, 'containerd.toml')
  writeFileSync(config, containerdConfig())
  startDaemon(`${place.name}-containerd`, room, ['containerd', '--config', config])
  const answers = async (): Promise<true | null> => ((await runIn(room, ['ctr', '--address', SOCKET, 'version'])).status === 0 ? true : null)
  await until(`${place.name}: containerd answers`, 30_000, answers, () => logOf(`${place.name}-containerd`))
  return { place, room }
}

export function startKubelet({ place, room }: RunningNode, { programs, kubeProxy, control }: KubeletOptions): void {
  const config = path.join(place.folder, 'kubelet.json')
  const resolv = path.join(place.folder, 'resolv.conf')
  // Nobody to ask behind the cluster's DNS.
  writeFileSync(resolv, '')
  writeFileSync(config, JSON.stringify(kubeletConfig(resolv)))
  startDaemon(`${place.name}-kubelet`, room, [
    programs.of('kubelet'), '--config', config, '--kubeconfig', control.kubeconfigOf(place), '--hostname-override', place.name,
    '--node-ip', `${place.addresses[4]},${place.addresses[6]}`,
  ])
  if (kubeProxy) startKubeProxy(place, room, programs)
}

/** How pods are attached; from then on the node is Ready. */
export async function writeCniConfig({ room }: RunningNode, attachment: Attachment, podCidrs: readonly string[]): Promise<void> {
  const ipam = { type: 'host-local', ranges: podCidrs.map((subnet) => [{ subnet }]), routes: podCidrs.map((cidr) => ({ dst: cidr.includes(':') ? '::/0' : '0.0.0.0/0' })) }
  const main = attachment === 'veth' ? { type: 'ptp', ipMasq: false, ipam } : { type: 'bridge', bridge: 'cni0', isGateway: true, hairpinMode: true, ipMasq: false, ipam }
  const list = { cniVersion: '1.0.0', name: 'cluster', plugins: [main, { type: 'portmap', capabilities: { portMappings: true }, snat: false }] }
  if (attachment === 'bridge') await mustRun(room, ['sysctl', '-q', '-w', 'net.bridge.bridge-nf-call-iptables=1', 'net.bridge.bridge-nf-call-ip6tables=1'])
  // At once whole: containerd reads it as soon as it is there.
  await mustRun(room, ['sh', '-c', 'cat > /etc/cni/net.d/.new && mv /etc/cni/net.d/.new /etc/cni/net.d/10-cluster.conflist'], { input: JSON.stringify(list) })
}

function containerdConfig(): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  // There may be no right to give a container a better oom score than one's own.
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "${SOCKET}"
[${cri}]
restrict_oom_score_adj = true
sandbox_image = "${POD_IMAGE}"
[${cri}.cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
[${cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
`
}

function kubeletConfig(resolvConf: string): unknown {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: `unix://${SOCKET}`, resolvConf, clusterDNS: [DNS_ADDRESSES[4]], clusterDomain: DNS_DOMAIN,
    // Whoever reaches a kubelet is in the cluster's namespaces.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } }, authorization: { mode: 'AlwaysAllow' },
    // Cgroups of version 1 and of a machine that others use too.
    failCgroupV1: false, cgroupDriver: 'cgroupfs', cgroupsPerQOS: false, enforceNodeAllocatable: [],
    localStorageCapacityIsolation: false, evictionHard: {}, imageGCHighThresholdPercent: 100, failSwapOn: false, serializeImagePulls: false,
    // Tests kill what runs in pods: it comes back soon.
    featureGates: { KubeletCrashLoopBackOffMax: true }, crashLoopBackOff: { maxContainerRestartPeriod: '1s' },
    nodeStatusUpdateFrequency: '5s', syncFrequency: '1s',
  }
}
