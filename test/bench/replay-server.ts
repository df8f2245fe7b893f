// An API server that replays recorded bytes: one pod's, as an API server gives them (5.5 KB), with other numbers in it. A process of its own.
//
//   node replay-server.ts PODS EVENTS   tells its port over IPC
// The path's first part says how it behaves: /watch-list, /pages, /no-limit (pages that ignore `limit`). A message starts the events.
// **Invariant:** it writes no faster than the client reads.
import http from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { recordedPod } from './recorded-pod.ts'

const [pods, events] = process.argv.slice(2).map(Number) as [number, number]
const CHUNK = 256 * 1024
let startEvents: () => void = () => {}

async function write(response: http.ServerResponse, parts: Iterable<string>): Promise<void> {
  let held: string[] = []
  let size = 0
  const flush = async (): Promise<void> => {
    if (!response.write(held.join(''))) await once(response, 'drain')
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

function* lines(type: string, count: number, version: number): Generator<string> {
  for (let i = 0; i < count; i += 1) yield `{"type":"${type}","object":${recordedPod(i % pods, version + i)}}\n`
}

function* items(from: number, to: number): Generator<string> {
  for (let i = from; i < to; i += 1) yield `${i === from ? '' : ','}${recordedPod(i, i)}`
}

async function watch(query: URLSearchParams, response: http.ServerResponse): Promise<void> {
  if (query.has('sendInitialEvents')) {
    await write(response, lines('ADDED', pods, 1))
    const metadata = { resourceVersion: String(pods), annotations: { 'k8s.io/initial-events-end': 'true' } }
    response.write(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata } })}\n`)
  }
  startEvents = () => void write(response, lines('MODIFIED', events, pods + 1))
}

async function list(query: URLSearchParams, mode: string, response: http.ServerResponse): Promise<void> {
  const from = Number(query.get('continue') ?? 0)
  const to = mode === 'no-limit' || !query.has('limit') ? pods : Math.min(pods, from + Number(query.get('limit')))
  response.write(`{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"${pods}"${to < pods ? `,"continue":"${to}"` : ''}},"items":[`)
  await write(response, items(from, to))
  response.end(']}')
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://server')
  const [, mode = '', ...rest] = url.pathname.split('/')
  if (rest.join('/') === 'version') return void response.end(`{"gitVersion":"${mode === 'watch-list' ? 'v1.37.2' : 'v1.31.0'}"}`)
  void (url.searchParams.has('watch') ? watch(url.searchParams, response) : list(url.searchParams, mode, response))
})
process.on('message', () => startEvents())
process.on('disconnect', () => process.exit())
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
