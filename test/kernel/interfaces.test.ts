// The interface source against the kernel: what `ip` does in namespaces of the test's own must become the right rows.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import type { HostInterface } from '../../src/model/objects.ts'
import { dup2 } from '../../src/netlink/libc.ts'
import type { WatchInterfacesOptions } from '../../src/node/watch.ts'
import { watchInterfaces } from '../../src/node/watch.ts'
import { ip, newNamespace, Observer, PREFIX, removeNamespaces } from './interfaces-support.ts'

function routesOf(observer: Observer, name: string): { readonly hostRoutes: readonly string[]; readonly hasWiderRoutes: boolean } | null {
  const row = observer.byName(name)
  return row === undefined ? null : { hostRoutes: row.hostRoutes, hasWiderRoutes: row.hasWiderRoutes }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** The sockets of this process. */
function sockets(): number[] {
  const isSocket = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
    } catch {
      return false
    }
  }
  return readdirSync('/proc/self/fd').filter(isSocket).map(Number)
}

function addresses(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `10.77.${i >> 8}.${i & 255}`)
}

describe('interfaces of a node, from the kernel', function () {
  this.timeout(30_000)
  let observers: Observer[] = []

  async function observe(netns: string, options: Partial<WatchInterfacesOptions> = {}): Promise<Observer> {
    const observer = await Observer.start(netns, options)
    observers.push(observer)
    return observer
  }

  afterEach(async () => {
    for (const observer of observers) await observer.watch?.close()
    observers = []
    removeNamespaces()
  })

  it('tells what is there first, as one replace and synced', async () => {
    const netns = newNamespace('first')
    ip(netns, 'link add pod0 type veth peer name eth0\nlink set pod0 up\nlink set eth0 up\nroute add 10.1.0.5/32 dev pod0')
    const observer = await observe(netns)
    assert.equal(observer.batches.length, 1)
    assert.deepEqual(observer.batches[0]?.map((event) => event.verb), ['replace', 'synced'])
    assert.deepEqual(observer.resyncs, ['start'])
    const { index, ...row } = observer.byName('pod0') as HostInterface
    assert.ok(index > 0 && observer.rows.has(String(index)))
    assert.deepEqual(row, { name: 'pod0', kind: 'veth', master: 0, addresses: [], hostRoutes: ['10.1.0.5'], hasWiderRoutes: false, networks: [], behind: null })
  })

  it('sees a pod as ptp makes it: the gateway is its own address, the pod is a host route, in both families', async () => {
    const netns = newNamespace('ptp')
    const observer = await observe(netns)
    ip(
      netns,
      `link add pod0 type veth peer name eth0
       link set eth0 up
       link set pod0 up
       addr add 10.1.0.1/32 dev pod0
       addr add fd00:1::1/128 dev pod0 nodad
       addr add 169.254.1.1/16 dev pod0
       route add 10.1.0.5/32 dev pod0 src 10.1.0.1
       route add fd00:1::5/128 dev pod0`,
    )
    const expected = { hostRoutes: ['10.1.0.5', 'fd00:1::5'], hasWiderRoutes: false }
    await observer.until('both host routes', () => JSON.stringify(routesOf(observer, 'pod0')) === JSON.stringify(expected))
    assert.deepEqual(observer.byName('pod0')?.addresses, ['10.1.0.1', 'fd00:1::1'])
    ip(netns, 'route add 10.2.0.0/24 dev pod0')
    await observer.until('a wider route', () => observer.byName('pod0')?.hasWiderRoutes === true)
    ip(netns, 'route replace 10.2.0.0/24 dev eth0')
    await observer.until('the wider route elsewhere', () => observer.byName('pod0')?.hasWiderRoutes === false)
    assert.equal(observer.byName('eth0')?.hasWiderRoutes, true)
  })

  it('counts each hop of a multipath route', async () => {
    const netns = newNamespace('multi')
    const observer = await observe(netns)
    ip(
      netns,
      `link add up0 type veth peer name up1
       link set up0 up
       link set up1 up
       addr add 10.3.0.1/32 dev up0
       addr add fd00:3::1/128 dev up0 nodad
       route add 10.9.0.9/32 nexthop via 10.3.0.8 dev up0 onlink nexthop via 10.3.0.9 dev up1 onlink
       route add fd00:9::/64 nexthop via fd00:3::8 dev up0 onlink nexthop via fd00:3::9 dev up1 onlink`,
    )
    for (const name of ['up0', 'up1']) {
      await observer.until(name, () => JSON.stringify(routesOf(observer, name)) === '{"hostRoutes":["10.9.0.9"],"hasWiderRoutes":true}')
    }
    ip(netns, 'route del 10.9.0.9/32\nroute del fd00:9::/64 via fd00:3::9 dev up1')
    await observer.until('no IPv4 route', () => observer.byName('up0')?.hostRoutes.length === 0)
    await observer.until('one hop less', () => observer.byName('up1')?.hasWiderRoutes === false)
    assert.equal(observer.byName('up0')?.hasWiderRoutes, true)
  })

  it('forgets the routes that IPv4 removes without a word', async () => {
    const netns = newNamespace('silent')
    const observer = await observe(netns)
    const here = (name: string, routes: string[]): boolean => JSON.stringify(observer.byName(name)?.hostRoutes) === JSON.stringify(routes)
    ip(
      netns,
      `link add a0 type veth peer name b0
       link set a0 up
       link set b0 up
       route add 10.4.0.1/32 dev a0
       route add 10.4.0.2/32 dev b0
       addr add 10.5.0.1/32 dev b0
       addr add 10.5.0.2/32 dev a0
       route add 10.4.0.3/32 dev b0 src 10.5.0.2`,
    )
    await observer.until('the routes', () => here('a0', ['10.4.0.1']) && here('b0', ['10.4.0.2', '10.4.0.3']))
    ip(netns, 'addr add 10.5.0.3/32 dev a0\naddr del 10.5.0.2/32 dev a0')
    await observer.until('preferred source gone', () => here('b0', ['10.4.0.2']) && here('a0', ['10.4.0.1']))
    ip(netns, 'addr del 10.5.0.1/32 dev b0')
    await observer.until('last address gone', () => here('b0', []))
    ip(netns, 'link set a0 down')
    await observer.until('link down', () => here('a0', []))
    const read = execFileSync('ip', ['-n', netns, '-4', 'route', 'show', 'table', 'main']).toString()
    assert.equal(read, '', 'the kernel itself has no route left')
    assert.deepEqual(observer.resyncs, ['start'])
  })

  it('knows bridge ports, and that leaving a bridge is not going away', async () => {
    const netns = newNamespace('bridge')
    const observer = await observe(netns)
    ip(netns, 'link add br0 type bridge\nlink add p0 type veth peer name p1\nlink set p0 master br0')
    await observer.until('port', () => observer.byName('p0')?.master === (observer.byName('br0')?.index ?? -1))
    assert.equal(observer.byName('br0')?.kind, 'bridge')
    ip(netns, 'link set p0 nomaster')
    await observer.until('no port', () => observer.byName('p0')?.master === 0)
    await sleep(50)
    assert.ok(observer.byName('p0'))
  })

  it('follows a rename, and a link made again under the same name', async () => {
    const netns = newNamespace('names')
    const observer = await observe(netns)
    ip(netns, 'link add old0 type veth peer name x0\nlink set x0 up\nlink set old0 up\nroute add 10.6.0.1/32 dev old0')
    await observer.until('old0', () => observer.byName('old0')?.hostRoutes.length === 1)
    const index = observer.byName('old0')?.index
    ip(netns, 'link set old0 down\nlink set old0 name new0\nlink set new0 up\nroute add 10.6.0.2/32 dev new0')
    await observer.until('new0', () => JSON.stringify(observer.byName('new0')?.hostRoutes) === '["10.6.0.2"]')
    assert.equal(observer.byName('new0')?.index, index)
    assert.equal(observer.byName('old0'), undefined)
    ip(netns, 'link del new0\nlink add new0 type veth peer name x0\nlink set x0 up\nlink set new0 up\nroute add 10.6.0.3/32 dev new0')
    await observer.until('again', () => JSON.stringify(observer.byName('new0')?.hostRoutes) === '["10.6.0.3"]')
    assert.notEqual(observer.byName('new0')?.index, index)
    assert.equal(observer.rows.size, 3)
  })

  it('follows a link into another namespace and back', async () => {
    const netns = newNamespace('here')
    const other = newNamespace('there')
    const observer = await observe(netns)
    ip(netns, 'link add m0 type veth peer name m1\nlink set m1 up\nlink set m0 up\nroute add 10.7.0.1/32 dev m0')
    await observer.until('m0', () => observer.byName('m0')?.hostRoutes.length === 1)
    ip(netns, `link set m0 netns ${other}`)
    await observer.until('m0 gone', () => observer.byName('m0') === undefined)
    ip(other, `link set m0 netns ${netns}`)
    await observer.until('m0 back', () => observer.byName('m0') !== undefined)
    assert.deepEqual(routesOf(observer, 'm0'), { hostRoutes: [], hasWiderRoutes: false })
  })

  it('ends in the right state when the kernel had to drop notifications', async () => {
    const netns = newNamespace('burst')
    ip(netns, 'link add r0 type veth peer name r1\nlink set r1 up\nlink set r0 up')
    const observer = await observe(netns, { receiveBufferBytes: 4_096 })
    const many = addresses(2_000)
    ip(netns, many.map((address) => `route add ${address}/32 dev r0`).join('\n'))
    await observer.until('all routes', () => observer.byName('r0')?.hostRoutes.length === many.length, 10_000)
    assert.deepEqual(observer.byName('r0')?.hostRoutes, [...many].sort())
    assert.ok(observer.resyncs.includes('the receive buffer was full'), `no loss happened: ${[...observer.resyncs, ...observer.losses].join('; ')}`)
    ip(netns, many.slice(1).map((address) => `route del ${address}/32 dev r0`).join('\n'))
    await observer.until('one route', () => JSON.stringify(observer.byName('r0')?.hostRoutes) === JSON.stringify(many.slice(0, 1)), 10_000)
    assert.deepEqual(observer.losses, [])
  })

  it('tells a burst of 2,000 routes in few batches, without loss, and a single change within some milliseconds', async () => {
    const netns = newNamespace('batch')
    ip(netns, 'link add r0 type veth peer name r1\nlink set r1 up\nlink set r0 up')
    const observer = await observe(netns)
    const before = observer.batches.length
    const many = addresses(2_000)
    ip(netns, many.map((address) => `route add ${address}/32 dev r0`).join('\n'))
    await observer.until('all routes', () => observer.byName('r0')?.hostRoutes.length === many.length)
    assert.deepEqual(observer.resyncs, ['start'])
    assert.ok(observer.batches.length - before < 200, `${observer.batches.length - before} batches`)
    const waits: number[] = []
    for (let i = 0; i < 9; i++) {
      const rows = observer.byName('r1')?.hostRoutes.length ?? 0
      ip(netns, `route add 10.78.0.${i}/32 dev r1`)
      const began = performance.now()
      await observer.until('the route', () => observer.byName('r1')?.hostRoutes.length === rows + 1)
      waits.push(performance.now() - began)
    }
    const median = waits.sort((a, b) => a - b)[4] as number
    assert.ok(median < 50, `median of ${median} ms after the command had ended`)
  })

  it('comes back with a replace after its thread died', async () => {
    const netns = newNamespace('death')
    ip(netns, 'link add d0 type veth peer name d1')
    const before = sockets()
    const observer = await observe(netns)
    const [socket] = sockets().filter((fd) => !before.includes(fd))
    assert.ok(socket !== undefined)
    const nowhere = openSync('/dev/null', 'r')
    dup2(nowhere, socket)
    closeSync(nowhere)
    await observer.until('the loss', () => observer.losses.length === 1)
    assert.match(observer.losses[0] ?? '', /^lost sight of the interfaces in .*: recvfrom: ENOTSOCK; what was known stands, next try in 100 ms$/)
    ip(netns, 'link del d0\nlink add e0 type veth peer name e1')
    await observer.until('the new link', () => observer.byName('e0') !== undefined)
    assert.deepEqual(observer.batches.at(-1)?.map((event) => event.verb), ['replace'])
    assert.equal(observer.byName('d0'), undefined)
  })

  it('says in one line why it cannot start', async () => {
    const never = watchInterfaces({ netns: `/run/netns/${PREFIX}-none`, onEvents: () => assert.fail(), onLost: () => assert.fail() })
    await assert.rejects(never, { name: 'PicketError', message: `cannot watch the interfaces in /run/netns/${PREFIX}-none: open /run/netns/${PREFIX}-none: ENOENT` })
  })

  it('closes within its receive timeout, leaves no socket open, and tells nothing afterwards', async () => {
    const netns = newNamespace('close')
    const before = sockets().length
    const observer = await observe(netns)
    const began = performance.now()
    await observer.watch?.close()
    assert.ok(performance.now() - began < 500, `${performance.now() - began} ms`)
    const batches = observer.batches.length
    ip(netns, 'link add q0 type veth peer name q1')
    await sleep(50)
    assert.equal(observer.batches.length, batches)
    assert.equal(sockets().length, before)
  })
})
