// For whom an object of the table is there: the words that a refused commit is bisected by, and quarantine works with.
//
// ruleset writes an owner beside whatever it makes, agent searches among owners, store closes what an owner names.
// **Invariant:** two different things never have one owner; an owner says again what it was made of.
import type { Direction } from './policy.ts'

/** `NetworkPolicy shop/web ingress`: one direction of a policy. `Pod shop/web-1`: a local pod. `Service shop/web`. */
export type Owner = string

export type Owned =
  | { readonly kind: 'policy'; readonly namespace: string; readonly name: string; readonly direction: Direction }
  | { readonly kind: 'pod' | 'service'; readonly namespace: string; readonly name: string }

export function policyOwner(namespace: string, name: string, direction: Direction): Owner {
  return `NetworkPolicy ${namespace}/${name} ${direction}`
}

export function podOwner(namespace: string, name: string): Owner {
  return `Pod ${namespace}/${name}`
}

export function serviceOwner(namespace: string, name: string): Owner {
  return `Service ${namespace}/${name}`
}

/** Null for a text that is no owner. */
export function readOwner(owner: Owner): Owned | null {
  const policy = /^NetworkPolicy ([^/]+)\/(.+) (ingress|egress)$/.exec(owner)
  if (policy !== null) return { kind: 'policy', namespace: policy[1] as string, name: policy[2] as string, direction: policy[3] as Direction }
  const other = /^(Pod|Service) ([^/]+)\/(.+)$/.exec(owner)
  return other === null ? null : { kind: other[1] === 'Pod' ? 'pod' : 'service', namespace: other[2] as string, name: other[3] as string }
}
