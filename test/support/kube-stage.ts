// A network namespace with an API server in it, as a process of its own: `unshare --net node test/support/kube-stage.ts`.
//
// Told what to do over IPC; an agent joins it by nsenter. **Invariant:** the namespace lives as long as this process, which ends with its parent.
import { execFileSync } from 'node:child_process'
import { ApiServer, type ApiObject } from './api-server.ts'

export type StageOrder =
  | { readonly do: 'open' | 'close' | 'cut' | 'compact' }
  | { readonly do: 'put'; readonly path: string; readonly object: ApiObject }
  | { readonly do: 'remove'; readonly path: string; readonly key: string }
  /** Every path that has `path` in it is answered so, until 'usual'. */
  | { readonly do: 'answer'; readonly path: string; readonly status: number; readonly body: string }
  | { readonly do: 'version'; readonly version: string }
  | { readonly do: 'usual' }

export const STAGE_PORT = 16443

/** Objects outlive the server: they are put again into the next one. */
const objects = new Map<string, { readonly path: string; readonly object: ApiObject }>()
let server: ApiServer | null = null

async function perform(order: StageOrder): Promise<void> {
  switch (order.do) {
    case 'open':
      server = await ApiServer.start(null, STAGE_PORT)
      for (const { path, object } of objects.values()) server.put(path, object)
      return
    case 'close':
      await server?.close()
      server = null
      return
    case 'cut':
      return server?.cut()
    case 'compact':
      return server?.compact()
    case 'answer':
      if (server !== null) server.behaviour.instead = (asked) => (asked.path.includes(order.path) ? order : null)
      return
    case 'version':
      if (server !== null) server.behaviour.version = order.version
      return
    case 'usual':
      if (server !== null) Object.assign(server.behaviour, { instead: () => null, version: 'v1.37.2' })
      return
    case 'put':
      objects.set(`${order.path} ${order.object.metadata.namespace ?? ''}/${order.object.metadata.name}`, order)
      return server?.put(order.path, order.object)
    case 'remove':
      objects.delete(`${order.path} ${order.key}`)
      return server?.remove(order.path, order.key)
  }
}

if (process.send !== undefined) {
  execFileSync('ip', ['link', 'set', 'lo', 'up'])
  process.on('message', (order: StageOrder) => void perform(order).then(() => process.send?.('done')))
  process.on('disconnect', () => process.exit())
  process.send('ready')
}
