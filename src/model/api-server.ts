// Where the API server is, and addresses of it that a node cannot start by whose Services Picket itself translates.
//
// **Invariant:** an address is refused only where it is certain that it is a Service's.
import { contains, familyOf, parseAddress, parseCidr, toBits } from './ip.ts'

export const WHY_NO_SERVICE = "Picket itself serves the API server's ClusterIP (serviceProxy: picket)"

/** Why a node whose Services Picket translates could not start by that `apiServer`; null where it could. `services`: address -> what it is. */
export function serverFault(server: string, serviceCidrs: readonly string[], services: ReadonlyMap<string, string>): string | null {
  const host = (URL.canParse(server) ? new URL(server).hostname : '').replace(/^\[|\]$/g, '')
  const address = parseAddress(host)
  const isInside = (text: string): boolean => {
    const cidr = parseCidr(text)
    return address !== null && cidr !== null && cidr.family === familyOf(address) && contains(cidr, toBits(address))
  }
  if (serviceCidrs.some(isInside)) return 'it lies in serviceCIDRs'
  return services.get(address ?? host) ?? (/^kubernetes(\.default(\.svc(\..+)?)?)?$/.test(host) ? 'it is a name of the Service' : null)
}
