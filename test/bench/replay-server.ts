// An API server that replays recorded bytes: one pod's, as an API server gives them (5.5 KB), with other numbers in it. A process of its own.
//
//   node replay-server.ts PODS EVENTS   tells its port over IPC
// The path's first part says how it behaves: /watch-list, /pages, /no-limit (pages that ignore `limit`), the second whether it speaks
// protobuf: /json, /protobuf. A message starts the events.
// **Invariant:** it writes no faster than the client reads.
import http from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { eventFrame, listHead, PROTOBUF } from '../support/protobuf.ts'
import { recordedMessage, recordedPod } from './recorded-pod.ts'

const [pods, eventCount] = process.argv.slice(2).map(Number) as [number, number]
const CHUNK = 256 * 1024
let startEvents: () => void = () => {}

async function write(response: http.ServerResponse, parts: Iterable<string>): Promise<void> {
  let held: string[] = []
  let size = 0
  const flush = async (): Promise<void> => {
    if (!response.write(held.join(''), 'latin1')) await once(response, 'drain')
    held = []
    size = 0
  }
  for (const part of parts) {
    held.push(part)
    size += part.length
    if (size > CHUNK) await flush()
  }
  await flush()
}

function* events(type: 'ADDED' | 'MODIFIED', count: number, version: number, protobuf: boolean): Generator<string> {
  for (let i = 0; i < count; i += 1) {
    yield protobuf ? recordedMessage(type, i % pods, version + i) : `{"type":"${type}","object":${recordedPod(i % pods, version + i)}}\n`
  }
}

function* items(from: number, to: number, protobuf: boolean): Generator<string> {
  for (let i = from; i < to; i += 1) yield protobuf ? recordedMessage('item', i, i) : `${i === from ? '' : ','}${recordedPod(i, i)}`
}

async function watch(query: URLSearchParams, protobuf: boolean, response: http.ServerResponse): Promise<void> {
  if (query.has('sendInitialEvents')) {
    await write(response, events('ADDED', pods, 1, protobuf))
    const object = { metadata: { resourceVersion: String(pods), annotations: { 'k8s.io/initial-events-end': 'true' } } }
    response.write(protobuf ? eventFrame('BOOKMARK', 'Pod', object) : `${JSON.stringify({ type: 'BOOKMARK', object })}\n`)
  }
  startEvents = () => void write(response, events('MODIFIED', eventCount, pods + 1, protobuf))
}

async function list(query: URLSearchParams, mode: string, protobuf: boolean, response: http.ServerResponse): Promise<void> {
  const from = Number(query.get('continue') ?? 0)
  const to = mode === 'no-limit' || !query.has('limit') ? pods : Math.min(pods, from + Number(query.get('limit')))
  const metadata = { resourceVersion: String(pods), ...(to < pods ? { continue: String(to) } : {}) }
  if (protobuf) {
    let length = 0
    for (const item of items(from, to, true)) length += item.length
    response.write(listHead('Pod', metadata, length))
    await write(response, items(from, to, true))
    return void response.end()
  }
  response.write(`{"kind":"PodList","apiVersion":"v1","metadata":${JSON.stringify(metadata)},"items":[`)
  await write(response, items(from, to, false))
  response.end(']}')
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://server')
  const [, mode = '', encoding = '', ...rest] = url.pathname.split('/')
  if (rest.join('/') === 'version') return void response.end(`{"gitVersion":"${mode === 'watch-list' ? 'v1.37.2' : 'v1.31.0'}"}`)
  const protobuf = encoding === 'protobuf'
  if (protobuf) response.setHeader('content-type', PROTOBUF)
  void (url.searchParams.has('watch') ? watch(url.searchParams, protobuf, response) : list(url.searchParams, mode, protobuf, response))
})
// What all messages have in common is made once, before anything is measured.
for (const all of [events('ADDED', pods, 1, true), items(0, pods, true), events('MODIFIED', eventCount, pods + 1, true)]) while (all.next().done !== true) continue
process.on('message', () => startEvents())
process.on('disconnect', () => process.exit())
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
