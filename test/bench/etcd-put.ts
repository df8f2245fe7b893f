// Puts what stdin says into the test cluster's etcd, past the API server: a line of JSON each, `{"key": ..., "object": ...}`.
//
// To be run in the control namespace. **Invariant:** it ends with status 0 only where etcd took everything.
import readline from 'node:readline'

const PER_TRANSACTION = 100

const base64 = (text: string): string => Buffer.from(text).toString('base64')

async function put(lines: readonly string[]): Promise<void> {
  const success = lines.map((line) => {
    const { key, object } = JSON.parse(line) as { readonly key: string; readonly object: unknown }
    return { requestPut: { key: base64(key), value: base64(JSON.stringify(object)) } }
  })
  const answer = await fetch('http://127.0.0.1:2379/v3/kv/txn', { method: 'POST', body: JSON.stringify({ success }) })
  if (!answer.ok) throw new Error(`etcd: ${answer.status}: ${await answer.text()}`)
  await answer.arrayBuffer()
}

let lines: string[] = []
for await (const line of readline.createInterface({ input: process.stdin })) {
  lines.push(line)
  if (lines.length < PER_TRANSACTION) continue
  await put(lines)
  lines = []
}
if (lines.length > 0) await put(lines)
