// Puts recorded pods into the test cluster's etcd, past the API server: `nsenter --net=... node test/bench/fill-etcd.ts put|delete COUNT`.
//
// Writing 50,000 pods through the API takes minutes, and is not what is measured. **Invariant:** only keys of the bench's
// own namespaces (ns0, ns1, ...) are written or deleted.
import { recordedPod } from './recorded-pod.ts'

const ETCD = 'http://127.0.0.1:2379/v3/kv'
const PER_TRANSACTION = 100
const PREFIX = '/registry/pods/ns'

const base64 = (text: string): string => Buffer.from(text).toString('base64')

async function ask(path: string, body: unknown): Promise<void> {
  const answer = await fetch(`${ETCD}/${path}`, { method: 'POST', body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`etcd: ${path}: ${answer.status}: ${await answer.text()}`)
  await answer.arrayBuffer()
}

const [verb, count] = process.argv.slice(2)
if (verb === 'put') {
  for (let first = 0; first < Number(count); first += PER_TRANSACTION) {
    const success = Array.from({ length: Math.min(PER_TRANSACTION, Number(count) - first) }, (_, index) => {
      const text = recordedPod(first + index, 1)
      const { metadata } = JSON.parse(text) as { readonly metadata: { readonly namespace: string; readonly name: string } }
      // The version is etcd's own.
      return { requestPut: { key: base64(`${PREFIX.slice(0, -2)}${metadata.namespace}/${metadata.name}`), value: base64(text.replace('"resourceVersion":"1",', '')) } }
    })
    await ask('txn', { success })
  }
} else {
  // Everything from the prefix up to what follows it.
  await ask('deleterange', { key: base64(PREFIX), range_end: base64('/registry/pods/nt') })
}
