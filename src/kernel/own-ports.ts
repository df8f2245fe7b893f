// Which port ids of NETLINK_NETFILTER are this process's own, in the calling thread's network namespace.
//
// libnftables opens its socket itself, so it is found the way `ss` does: descriptors of the process are matched with the
// namespace's list of netlink sockets by inode. **Invariant:** a port that is not of this process is never told.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** A socket of ours: its descriptor, and what /proc says that it stands for. */
export interface OwnSocket {
  readonly fd: string
  readonly link: string
  readonly port: number
}

const NETLINK_NETFILTER = '12'

export function ownSockets(): readonly OwnSocket[] {
  const ports = new Map<string, number>()
  // Columns: sk, Eth (the protocol), Pid (the port id), Groups, ..., Inode (the last).
  for (const line of readFileSync('/proc/thread-self/net/netlink', 'utf8').split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/)
    if (columns[1] === NETLINK_NETFILTER) ports.set(`socket:[${columns.at(-1)}]`, Number(columns[2]) >>> 0)
  }
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    const link = linkOf(fd)
    const port = link === null ? undefined : ports.get(link)
    return link === null || port === undefined ? [] : [{ fd, link, port }]
  })
}

/** Whether all of them are still what they were: libnftables opens its socket anew where a dump was interrupted. */
export function stillOpen(sockets: readonly OwnSocket[]): boolean {
  return sockets.length > 0 && sockets.every(({ fd, link }) => linkOf(fd) === link)
}

/** Null where it was closed meanwhile. */
function linkOf(fd: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return null
  }
}
