// The addresses at which a Service is reached, and who may reach those of its load balancer.
//
// **Invariant:** an address or a range that cannot be read is left out; source ranges of which nothing could be read are [],
// which is nobody, never null, which is anybody.
import { show } from '../lib/show.ts'
import { type Address, type Cidr, familyOf } from '../model/ip.ts'
import { A_CIDR, A_HOST_ADDRESS, cidrOf, hostAddressOf } from './addresses.ts'
import { type FieldReader, type Mapping, isMapping, own } from './fields.ts'

const NOT_SERVED = 'this address is not served'
const RANGES = 'spec.loadBalancerSourceRanges'
const INGRESS = 'status.loadBalancer.ingress'

export interface ClusterIps {
  /** "None": clients find the pods themselves, by DNS. */
  readonly headless: boolean
  /** At most one of each family; empty too while the API has given none. */
  readonly addresses: readonly Address[]
}

/** spec.clusterIP, which is spec.clusterIPs' first, and the rest of spec.clusterIPs. */
export function readClusterIps(reader: FieldReader, spec: Mapping): ClusterIps {
  const only = own(spec, 'clusterIP')
  const list = reader.optionalList(own(spec, 'clusterIPs'), 'spec.clusterIPs', 'no further address is served') ?? []
  const [first] = list
  if (only === 'None' || first === 'None') return { headless: true, addresses: Object.freeze([]) }
  const single = only === undefined || only === '' ? [] : [only]
  if (single.length > 0 && list.length > 0 && only !== first && hostAddressOf(only) !== hostAddressOf(first)) {
    // "clients must ensure that clusterIPs[0] and clusterIP have the same value": which one the Service was given is not known.
    reader.error('spec.clusterIPs[0]', first, `the same as spec.clusterIP, ${show(only)}`, 'none of them is served')
    return { headless: false, addresses: Object.freeze([]) }
  }
  const found: Address[] = []
  const [items, fieldOf] = list.length > 0 ? [list, (i: number) => `spec.clusterIPs[${i}]`] : [single, () => 'spec.clusterIP']
  items.forEach((item, i) => {
    const address = hostAddressOf(item)
    if (address === null) reader.error(fieldOf(i), item, A_HOST_ADDRESS, NOT_SERVED)
    // "This field may hold a maximum of two entries (dual-stack IPs, in either order)."
    else if (found.some((other) => familyOf(other) === familyOf(address))) reader.error(fieldOf(i), item, 'at most one address of each family', NOT_SERVED)
    else found.push(address)
  })
  // The copy has no room for more.
  return { headless: false, addresses: Object.freeze(found.slice()) }
}

export function readExternalIps(reader: FieldReader, spec: Mapping): readonly Address[] {
  const list = reader.optionalList(own(spec, 'externalIPs'), 'spec.externalIPs', 'no external address is served') ?? []
  const found = new Set<Address>()
  list.forEach((item, i) => {
    const address = hostAddressOf(item)
    if (address === null) reader.error(`spec.externalIPs[${i}]`, item, A_HOST_ADDRESS, NOT_SERVED)
    else found.add(address)
  })
  return Object.freeze([...found])
}

/**
 * The addresses that a load balancer has put on the nodes' doorstep. Its controller writes them, not the Service's author: one
 * that cannot be read takes nothing but itself away.
 */
export function readLoadBalancerIps(reader: FieldReader, status: Mapping): readonly Address[] {
  const balancer = reader.optionalMapping(own(status, 'loadBalancer'), 'status.loadBalancer', 'no address of a load balancer is served')
  const list = reader.optionalList(own(balancer ?? {}, 'ingress'), INGRESS, 'no address of a load balancer is served') ?? []
  const found = new Set<Address>()
  const leaveOut = (field: string, value: unknown, expected: string): void =>
    reader.remark('error', 'InvalidField', field, `found ${show(value)}, expected ${expected}; ${NOT_SERVED}`)
  list.forEach((item, i) => {
    const field = `${INGRESS}[${i}]`
    if (!isMapping(item)) return leaveOut(field, item, 'a mapping with ip or hostname')
    const ip = own(item, 'ip')
    // One that has a name only is reached by way of the node ports.
    if (ip === undefined || ip === '') return
    const mode = own(item, 'ipMode')
    // "Setting this to "VIP" indicates that traffic is delivered to the node with the destination set to the load-balancer's IP
    // and port"; with "Proxy" it arrives at a node port or a pod, and what is sent to it must go through the load balancer.
    if (mode === 'Proxy') return
    if (mode !== undefined && mode !== 'VIP') return leaveOut(`${field}.ipMode`, mode, 'VIP or Proxy')
    const address = hostAddressOf(ip)
    if (address === null) return leaveOut(`${field}.ip`, ip, A_HOST_ADDRESS)
    found.add(address)
  })
  return Object.freeze([...found])
}

/** "If specified and supported by the platform, this will restrict traffic through the cloud-provider load-balancer". */
export function readSourceRanges(reader: FieldReader, spec: Mapping): readonly Cidr[] | null {
  const list = reader.optionalList(own(spec, 'loadBalancerSourceRanges'), RANGES, "nobody may use the load balancer's addresses")
  if (list === null) return Object.freeze([])
  if (list.length === 0) return null
  const found = new Map<string, Cidr>()
  list.forEach((item, i) => {
    // The API's validation lets blanks pass around each, and kube-proxy takes them off.
    const cidr = cidrOf(typeof item === 'string' ? item.trim() : item)
    if (cidr === null) reader.error(`${RANGES}[${i}]`, item, A_CIDR, "nobody may use the load balancer's addresses from there")
    else found.set(cidr.text, cidr)
  })
  return Object.freeze([...found.values()])
}
