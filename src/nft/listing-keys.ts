// How a listing names the parts of a set's key or of a map's data -> expressions or types, one a part.
//
// nft 1.0.6 lists `ipv4_addr`, `["ifname", "ipv4_addr"]` and, for data, `ipv4_addr . inet_service`; later versions list
// the expressions themselves under `typeof`. **Invariant:** what comes out is text that types.ts can compare.

/** Null where a part is of a shape that is not known. */
export function expressionText(listed: unknown): readonly string[] | null {
  if (typeof listed === 'string') return listed.split(' . ')
  if (Array.isArray(listed)) return listed.every((part) => typeof part === 'string') ? (listed as string[]) : null
  if (!isObject(listed)) return null
  const root = listed['typeof'] ?? listed
  const parts = isObject(root) && Array.isArray(root['concat']) ? (root['concat'] as unknown[]) : [root]
  const texts = parts.map(oneExpression)
  return texts.some((text) => text === null) ? null : (texts as string[])
}

function oneExpression(listed: unknown): string | null {
  if (typeof listed === 'string') return listed
  if (!isObject(listed)) return null
  const [entry] = Object.entries(listed)
  if (entry === undefined) return null
  const [kind, value] = entry
  // A masked expression lists its operands; the first is what is masked.
  if ((kind === '&' || kind === '|') && Array.isArray(value)) return oneExpression(value[0])
  if (kind === 'numgen' || kind === 'jhash' || kind === 'symhash') return `${kind} `
  if (!isObject(value)) return null
  if (kind === 'payload') return `${String(value['protocol'])} ${String(value['field'])}`
  if (kind === 'meta') return `meta ${String(value['key'])}`
  if (kind === 'ct') return ['ct', value['dir'], value['key']].filter((word) => word !== undefined).join(' ')
  return null
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
