// resourceVersions in order: integers of any length, compared as such (Kubernetes 1.35 says so of its own).
//
// **Invariant:** what is no integer is neither older nor newer than anything: nobody may conclude from it that a node is up to date,
// or that a watch goes backwards.

/** Negative where `one` is older, 0 where they are equal, positive where it is newer; null where one of them is no integer. */
export function compareVersions(one: string, other: string): number | null {
  const [a, b] = [digitsOf(one), digitsOf(other)]
  if (a === null || b === null) return null
  if (a.length !== b.length) return a.length - b.length
  return a === b ? 0 : a < b ? -1 : 1
}

/** False where they are equal, or cannot be told. */
export function isOlder(one: string, other: string): boolean {
  const order = compareVersions(one, other)
  return order !== null && order < 0
}

/** Without leading zeros, so that more digits are more. */
function digitsOf(version: string): string | null {
  return /^[0-9]+$/.test(version) ? version.replace(/^0+(?=.)/, '') : null
}
