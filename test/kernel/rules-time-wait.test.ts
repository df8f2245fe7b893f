// A 5-tuple that is used again while conntrack still remembers its last connection (rule 82, AWS port_reuse): it is a new
// connection and judged as one, whichever way the old one ended and whether established connections are cut or kept.
//
// The server closes first, so that the client's port is free at once. **Invariant:** before each second use conntrack is seen
// to be in the state that the test is about.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { initPacket, IPPROTO_SCTP } from '../../src/lab/sctp.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { egress, ingress, realPod } from '../support/real-objects.ts'
import { ipPacket } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'

const CUT = realPod('shop/cut', 'n1', 1, { app: 'cut' })
const KEPT = realPod('shop/kept', 'n2', 2, { app: 'kept' })
const CLIENT = realPod('shop/client', 'n3', 3, { app: 'client' })
const PORT = 7020
const CLIENT_PORT = 5800

/** Says a word, and ends the connection: by FIN, or by RST where the client said so. */
const SERVER = `require('net').createServer((s) => { s.on('error', () => {}); s.once('data', (d) => (String(d) === 'rst' ? s.resetAndDestroy() : s.end('done'))) }).listen(${PORT}, '::', () => console.log('ready'))`

for (const attachment of ['veth', 'bridge'] as const) describe(`ports used again, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster
  const servers: ChildProcess[] = []

  before(async () => {
    lab = await RealCluster.open({ nodes: 3, agents: false, namespaces: { shop: {} }, pods: [CUT, KEPT, CLIENT], attachment })
    await lab.agents.start('n1')
    await lab.agents.start('n2', ['--established-connections', 'keep'])
    await lab.agents.start('n3')
    await lab.settle()
    for (const { key } of [CUT, KEPT]) {
      const server = spawn('nsenter', [`--net=${lab.testbed.netnsOf(lab.source(key))}`, '--', process.execPath, '-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] })
      servers.push(server)
      await once(server.stdout as NodeJS.ReadableStream, 'data')
    }
  })
  after(async () => {
    for (const server of servers) server.kill()
    await lab.close()
  })

  /** One connection from that port: how it ended, `end`, `ECONNRESET`, `silent`, as the client saw it. */
  function connect(to: string, port: number, how: 'fin' | 'rst'): string {
    const script = `const s = require('net').connect({ host: '${to}', port: ${PORT}, localPort: ${port} }); const say = (w) => { console.log(w); process.exit() }
      setTimeout(() => say('silent'), 700); s.on('error', (e) => say(e.code)); s.on('end', () => { s.end(); setTimeout(() => say('end'), 50) }); s.on('data', () => {}); s.on('connect', () => s.write('${how}'))`
    return lab.run('shop/client', [process.execPath, '-e', script]).trim()
  }

  /** Of the connection with that port, where its server is. */
  const states = (node: string, port: number): readonly string[] =>
    lab.run(node, ['cat', '/proc/net/nf_conntrack']).split('\n').flatMap((line) => (new RegExp(` sport=${port} dport=${PORT} `).test(line) ? [/ (TIME_WAIT|CLOSE|ESTABLISHED|LAST_ACK|CLOSE_WAIT|SYN_SENT|FIN_WAIT) /.exec(line)?.[1] ?? line] : []))

  for (const [server, mode] of [[CUT, 'cut'], [KEPT, 'kept']] as const) {
    it(`rule 82: SCTP, established connections ${mode}: an INIT at the ports of an association is judged`, async () => {
      const watch = new WireWatch(lab, server.key, { came: 'sctp sport 5900 sctp dport 8080' })
      const answers = new WireWatch(lab, 'shop/client', { came: 'sctp dport 5900 sctp sport 8080' })
      const init = (): void => forge(lab, 'shop/client', ...server.addresses.map((to, i) => ipPacket({ from: CLIENT.addresses[i] as string, to }, IPPROTO_SCTP, initPacket({ source: 5900, destination: 8080 }, 7, 'token'))))
      await lab.policies()
      init()
      await watch.expect({ came: 2 })
      await answers.expect({ came: 2 })
      await lab.policies(ingress('shop/in', { app: mode === 'cut' ? 'cut' : 'kept' }))
      init()
      await watch.expect({ came: 2 })
      await lab.policies()
      await pause(300)
      init()
      await watch.expect({ came: 4 })
      watch.close()
      answers.close()
    })

    for (const [how, ended, state] of [['fin', 'end', 'TIME_WAIT'], ['rst', 'ECONNRESET', 'CLOSE']] as const) {
      it(`rule 82: in ${state}, established connections ${mode}: denied where it now is, by either end, and a connection again where it is allowed`, async () => {
        const deny = { 'server\'s ingress': ingress('shop/in', { app: mode === 'cut' ? 'cut' : 'kept' }), 'client\'s egress': egress('shop/out', { app: 'client' }) }
        let port = CLIENT_PORT + (mode === 'cut' ? 0 : 100) + (how === 'fin' ? 0 : 50)
        for (const to of server.addresses) {
          for (const [who, policy] of Object.entries(deny)) {
            port++
            await lab.policies()
            assert.equal(connect(to, port, how), ended)
            assert.ok(states(server.node, port).includes(state), `${states(server.node, port).join()}, expected ${state}`)
            await lab.policies(policy)
            assert.equal(connect(to, port, how), 'silent', `${who}, ${to}`)
            await lab.policies()
            let again = ''
            for (const until = Date.now() + 5_000; again !== ended && Date.now() < until; await pause(50)) again = connect(to, port, how)
            assert.equal(again, ended, `${who}, ${to}: not again`)
          }
        }
      })
    }
  }
})
