// Resource versions in order: which of two is the older one.
//
// **Invariant:** versions are whole numbers of any length (Kubernetes 1.35 says so of its own); where one is not, nothing is known.

/** False where they are equal, or cannot be told. */
export function isOlder(one: string, other: string): boolean {
  if (!/^\d+$/.test(one) || !/^\d+$/.test(other)) return false
  return one.length === other.length ? one < other : one.length < other.length
}
