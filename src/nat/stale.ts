// What changed of a Service's UDP ports -> whose entries of conntrack stay, and which ports' entries are to be looked at.
//
// Those of ports that are new (a client may have been there before them), and that lost somebody. A port that somebody
// serves keeps the entries of who serves it, so that all clients come to it. One that nobody serves keeps those of all its
// endpoints: they may be about to come back. Entries to others go in any case: the address may be anybody's by now (rule 95).
// **Invariant:** a port too many costs a pass over conntrack, a port too few leaves a client without its Service: whatever
// may have left an entry behind counts.
import { targetKey, type Target } from './targets.ts'

/** A Service's UDP port at one of its addresses, which may be a node's own with a node port. */
export interface UdpPort extends Target {
  /** Its endpoints of the address's family, on any node, whatever policies and hints say. */
  readonly endpoints: readonly UdpEndpoint[]
}

export interface UdpEndpoint extends Target {
  readonly serving: boolean
}

export interface KeptPort extends Target {
  /** Whose entries stay. */
  readonly keeps: readonly Target[]
  /** Whether somebody serves it: entries that nobody translated go, too. */
  readonly isServed: boolean
}

/** A port that changed. */
export interface UdpChange extends KeptPort {
  /** Entries may have been left behind, and are looked for as soon as the kernel holds the change; else it only won somebody, or is served no more. */
  readonly isDue: boolean
}

/** All UDP ports of one Service `before` and `after` a change: those that are there and changed. */
export function udpChanges(before: readonly UdpPort[], after: readonly UdpPort[]): readonly UdpChange[] {
  const earlier = new Map(before.map((port) => [targetKey(port), keptOf(port)]))
  return after.flatMap((port) => {
    const kept = keptOf(port)
    const was = earlier.get(targetKey(port))
    const isDue = mayLeave(was, kept)
    return isDue || was?.keeps.length !== kept.keeps.length || was.isServed !== kept.isServed ? [{ ...kept, isDue }] : []
  })
}

export function keptOf({ address, port, endpoints }: UdpPort): KeptPort {
  const serving = endpoints.filter((one) => one.serving)
  return { address, port, keeps: serving.length > 0 ? serving : endpoints, isServed: serving.length > 0 }
}

function mayLeave(before: KeptPort | undefined, after: KeptPort): boolean {
  if (before === undefined || (after.isServed && !before.isServed)) return true
  const kept = new Set(after.keeps.map(targetKey))
  return before.keeps.some((one) => !kept.has(targetKey(one)))
}
