// The Service NAT of this node's agent, as the kernel has it, and who else changes connections' marks. Only looks.
//
// Each table is read by itself, ours not as a whole: its maps grow with the Services.
// **Invariant:** a table that cannot be read is named, and holds up no other.
import type { Runner } from '../kernel/runner.ts'
import { FAMILIES, familyOf, hostCidr, parseAddress, parseCidr, toBits, type Family } from '../model/ip.ts'
import { objectsOf } from '../nft/listing.ts'
import { serviceCidrs, TABLE_NAME } from '../ruleset/names.ts'
import { markWriters, type MarkWriter } from './mark-writers.ts'

/** The first chain that a Service's packet comes to. */
export const TRANSLATING_CHAIN = 'nat-prerouting'

export interface AddressRange {
  readonly family: Family
  readonly first: bigint
  readonly last: bigint
  readonly text: string
}

export interface Translation {
  /** The bits of connections' marks that its rules write; null where they cannot be read. */
  readonly mask: number | null
  /** Setting serviceCIDRs. */
  readonly serviceCidrs: readonly AddressRange[]
  /** Of other tables. */
  readonly markWriters: readonly MarkWriter[]
  readonly unreadTables: readonly string[]
}

const LIST_DEADLINE_MS = 15_000
/** The kernel takes any name, and nft would take the rest of this one for commands. */
const WRITABLE = /^[a-z0-9]+ [A-Za-z][\w./-]*$/

/** `tables`: `family name`, all of them. */
export async function readTranslation(runner: Runner, tables: readonly string[]): Promise<Translation> {
  const ours = `inet ${TABLE_NAME}`
  const writers: MarkWriter[] = []
  const unreadTables: string[] = []
  for (const table of tables.filter((one) => one !== ours)) {
    const found = WRITABLE.test(table) ? read(await listing(runner, `table ${table}`), markWriters) : null
    if (found === null) unreadTables.push(table)
    else writers.push(...found)
  }
  const own = read(await listing(runner, `chain ${ours} ${TRANSLATING_CHAIN}`), markWriters)
  const cidrs: AddressRange[] = []
  for (const family of FAMILIES) cidrs.push(...(read(await listing(runner, `set ${ours} ${serviceCidrs(family)}`), rangesOf) ?? []))
  return { mask: own?.find(({ bits }) => bits !== null)?.bits ?? null, serviceCidrs: cidrs, markWriters: writers, unreadTables }
}

async function listing(runner: Runner, what: string): Promise<string | null> {
  const result = await runner.run({ text: `list ${what}`, mode: 'json', deadline: LIST_DEADLINE_MS })
  return result.kind === 'done' ? result.output : null
}

function read<T>(text: string | null, decode: (text: string) => T): T | null {
  try {
    return text === null ? null : decode(text)
  } catch {
    return null
  }
}

/** The listing of a set of intervals. */
export function rangesOf(text: string): readonly AddressRange[] {
  return objectsOf(text).flatMap(([kind, set]) => (kind === 'set' && Array.isArray(set['elem']) ? (set['elem'] as readonly unknown[]).flatMap(rangeOf) : []))
}

function rangeOf(element: unknown): readonly AddressRange[] {
  if (typeof element === 'string') {
    const address = parseAddress(element)
    return address === null ? [] : [hostCidr(address)]
  }
  const { prefix, range } = (element ?? {}) as { readonly prefix?: { readonly addr?: unknown; readonly len?: unknown }; readonly range?: readonly unknown[] }
  if (prefix !== undefined) return [parseCidr(`${String(prefix.addr)}/${String(prefix.len)}`) ?? []].flat()
  const [first, last] = (range ?? []).map((end) => parseAddress(String(end)))
  if (first === undefined || first === null || last === undefined || last === null) return []
  return [{ family: familyOf(first), first: toBits(first), last: toBits(last), text: `${first}-${last}` }]
}
