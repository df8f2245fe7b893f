// What ObjectWriter sends, over the cluster's socket, where Transport cannot go.
//
// **Invariant:** answers and failures are as Transport's.
import { statusFailure } from '../../src/kube/statuses.ts'
import type { Answer, Change, Target, Transport } from '../../src/kube/transport.ts'
import { ask } from './api.ts'

export const sender: Pick<Transport, 'get' | 'send'> = {
  get: (target) => send(target, { method: 'GET', body: null }),
  send: (target, change) => send(target, change),
}

async function send(target: Target, { method, body, contentType }: Omit<Change, 'method'> & { readonly method: string }): Promise<Answer> {
  const query = new URLSearchParams(target.query).toString()
  const answer = await ask(method, `${target.path}${query === '' ? '' : `?${query}`}`, body, contentType)
  const bytes = Buffer.from(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body))
  if (answer.status > 202) throw statusFailure(answer.status, bytes, 'the API server', target, 'none')
  return { server: 'the API server', contentType: 'application/json', body: parts(bytes) }
}

async function* parts(bytes: Buffer): AsyncGenerator<Buffer, void> {
  yield bytes
}
