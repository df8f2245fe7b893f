// Bridge ports whose other end is in another namespace -> what is behind each: one MAC, and addresses that are its alone.
//
// A port is read when it comes, and again with growing pauses while it has no address of a family: a network plugin sets
// addresses a moment after the link. What was read of a family stays for the life of the port, so that a pod which gives
// itself another pod's address later has no use of it; where two ports say one address, the first keeps it.
// **Invariant:** an address is behind one port at most; nothing is read while nothing is missing, or tries are used up.
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { FAMILIES, familyOf, type Address } from '../model/ip.ts'
import type { PortEnd } from '../model/objects.ts'
import type { Link } from '../netlink/route.ts'
import { sameList } from './sorted-texts.ts'
import type { PortReader } from './port-reader.ts'

interface Port {
  readonly link: Link
  mac: string | null
  /** As read, whoever else has them. */
  said: readonly Address[]
}

export interface BridgePortsOptions {
  readonly reader: PortReader
  readonly clock: Clock
  /** What is behind that port is another now. */
  readonly onChange: (index: number, behind: PortEnd | null) => void
  /** After changes that a timer brought. */
  readonly onRead: () => void
}

const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 2_000
/** Some 20 seconds of them. */
const MOST_TRIES = 16

export class BridgePorts {
  readonly #options: BridgePortsOptions
  readonly #ports = new Map<number, Port>()
  readonly #owners = new Map<Address, number>()
  readonly #told = new Map<number, PortEnd>()
  #tries = 0
  #cancel: (() => void) | null = null

  constructor(options: BridgePortsOptions) {
    this.#options = options
  }

  /** Links that changed; null: gone. Only ports of a bridge whose other end is elsewhere count. */
  changed(links: ReadonlyMap<number, Link | null>): void {
    let fresh = false
    for (const [index, link] of [...links].sort(([a], [b]) => a - b)) {
      const before = this.#ports.get(index)
      if (link === null || link.master === 0 || link.end === null) {
        if (this.#ports.delete(index)) this.#release(index)
      } else if (before === undefined || before.link.end?.netns !== link.end.netns || before.link.end.index !== link.end.index) {
        this.#release(index)
        this.#ports.set(index, { link, mac: null, said: [] })
        fresh = true
      }
    }
    if (fresh) this.again()
    else if (links.size > 0) this.#tell()
  }

  /** Begins the tries anew: something is missing that may be there by now. */
  again(): void {
    this.#tries = 0
    this.#look()
  }

  /** Two ports that say one address. */
  problems(): readonly Problem[] {
    return [...this.#ports].flatMap(([index, port]) =>
      port.said.flatMap((address) => {
        const owner = this.#owners.get(address)
        return owner === undefined || owner === index ? [] : [duplicate(address, this.#ports.get(owner)?.link.name ?? '', port.link.name)]
      }),
    )
  }

  close(): void {
    this.#cancel?.()
  }

  #look(): void {
    this.#cancel?.()
    this.#cancel = null
    let missing = false
    for (const port of this.#ports.values()) {
      if (isComplete(port)) continue
      this.#read(port)
      missing ||= !isComplete(port)
    }
    this.#tell()
    if (!missing || this.#tries >= MOST_TRIES) return
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#tries++, LONGEST_PAUSE_MS)
    this.#cancel = this.#options.clock.after(pause, () => {
      this.#look()
      this.#options.onRead()
    })
  }

  #read(port: Port): void {
    const { end } = port.link
    const read = end === null ? null : this.#options.reader.read(end.netns, end.index)
    if (read === null) return
    const known = new Set(port.said.map(familyOf))
    if (known.size === 0) port.mac = read.mac
    port.said = [...port.said, ...read.addresses.filter((address) => !known.has(familyOf(address)))]
  }

  #release(index: number): void {
    for (const [address, owner] of this.#owners) if (owner === index) this.#owners.delete(address)
  }

  /** Those with fewer addresses first: who took others' besides its own comes behind them. */
  #tell(): void {
    const ports = [...this.#ports].sort(([a, x], [b, y]) => x.said.length - y.said.length || a - b)
    for (const [index, { said }] of ports) for (const address of said) if (!this.#owners.has(address)) this.#owners.set(address, index)
    for (const index of this.#told.keys()) if (!this.#ports.has(index)) this.#put(index, null)
    for (const [index, { mac, said }] of this.#ports) {
      const addresses = said.filter((address) => this.#owners.get(address) === index).sort()
      this.#put(index, mac === null || addresses.length === 0 ? null : Object.freeze({ mac, addresses: Object.freeze(addresses) }))
    }
  }

  #put(index: number, behind: PortEnd | null): void {
    const before = this.#told.get(index) ?? null
    if (before === behind || (before !== null && behind !== null && before.mac === behind.mac && sameList(before.addresses, behind.addresses))) return
    if (behind === null) this.#told.delete(index)
    else this.#told.set(index, behind)
    this.#options.onChange(index, behind)
  }
}

function isComplete({ said }: Port): boolean {
  return FAMILIES.every((family) => said.some((address) => familyOf(address) === family))
}

function duplicate(address: Address, owner: string, other: string): Problem {
  return {
    code: 'DuplicateAddress',
    severity: 'warning',
    object: `bridge port ${other}`,
    message: `what is behind it has the address ${address}, which is behind ${owner}: frames that it sends with it are dropped`,
  }
}
