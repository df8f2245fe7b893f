// After `npm run cluster -- down`: nothing of the cluster is left on the machine but the cache.
//
// Runs when the cluster has ended. **Invariant:** what is looked for is found by names of layout.ts, as a start makes them.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { CACHE, CGROUP, PREFIX, STATE } from './layout.ts'
import { mustRun } from './processes.ts'

describe('after the cluster ended', () => {
  it('no process of it runs', () => {
    const found = globSync('/proc/[0-9]*/cmdline').flatMap((file) => {
      try {
        const text = readFileSync(file, 'utf8').replaceAll('\0', ' ')
        return text.includes(`${CACHE}/programs`) || text.includes(STATE) || text.startsWith('/pod ') || text.includes('containerd-shim-runc-v2 -namespace k8s.io') ? [text] : []
      } catch {
        return []
      }
    })
    assert.deepEqual(found, [])
  })

  it('no network namespace, mount or cgroup is left', async () => {
    assert.ok(!(await mustRun(null, ['ip', 'netns', 'list'])).includes(`${PREFIX}-`))
    assert.deepEqual(readFileSync('/proc/self/mounts', 'utf8').split('\n').filter((line) => line.includes(STATE) || line.includes(PREFIX)), [])
    assert.deepEqual(globSync(`/sys/fs/cgroup/{,*/}${CGROUP}`), [])
  })

  it('no file is left but the cache', () => {
    assert.ok(!existsSync(STATE))
    for (const folder of ['/etc/cni/net.d/10-cluster.conflist', '/var/lib/kubelet/pods', '/run/picket/agent.sock']) assert.ok(!existsSync(folder), folder)
  })
})
