// Workers that load native libraries, ended at any moment of their start.
import assert from 'node:assert/strict'
import { spawnWorker } from '../../../src/lib/workers.ts'
import { WorkerControl } from '../../../src/lib/worker-control.ts'

describe('workers', function () {
  this.timeout(30_000)

  it('may be ended at any moment of their start: the process lives on', async () => {
    for (let ms = 0; ms < 120; ms += 15) {
      const worker = spawnWorker('libnftables-worker', { workerData: {} })
      const gone = new Promise((resolve) => worker.once('exit', resolve))
      await new Promise((resolve) => setTimeout(resolve, ms))
      await worker.terminate()
      await gone
    }
  })
  it('that cannot start end at once', async () => {
    const worker = spawnWorker('rtnetlink-worker', { workerData: { netns: '/no/such/netns', receiveBufferBytes: 1 << 16, control: new WorkerControl().buffer } })
    const error = await new Promise<Error>((resolve) => worker.once('error', resolve))
    assert.match(error.message, /ENOENT/)
    const before = performance.now()
    await worker.terminate()
    assert.ok(performance.now() - before < 5_000, 'it waited for a worker that is gone')
  })
})
