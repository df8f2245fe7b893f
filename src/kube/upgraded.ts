// The connection below a WebSocket: whoever closes a WebSocket waits for the other side to agree, which one that is gone never does.
//
// **Invariant:** nothing of what goes through is changed.
import type { Duplex } from 'node:stream'
import type { Dispatcher } from 'undici'

export interface Upgraded {
  /** Makes its requests by `dispatcher`, and remembers the connection that one of them became. */
  readonly dispatcher: Dispatcher
  /** Ends that connection after `ms` milliseconds, whatever the other side does; keeps no process alive for it. */
  readonly endAfter: (ms: number) => void
}

export function upgradedBy(dispatcher: Dispatcher): Upgraded {
  let socket: Duplex | null = null
  const watched = dispatcher.compose((dispatch) => (options, handler) => {
    const watching = Object.create(handler) as Dispatcher.DispatchHandler
    watching.onRequestUpgrade = (controller, status, headers, upgraded) => {
      socket = upgraded
      handler.onRequestUpgrade?.(controller, status, headers, upgraded)
    }
    return dispatch(options, watching)
  })
  return { dispatcher: watched, endAfter: (ms) => void setTimeout(() => socket?.destroy(), ms).unref() }
}
