// Who we are and whom we trust: kubeconfigs right and wrong, rotation of each kind, TLS in each way it fails, several servers.
import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { Credentials } from '../../../src/kube/credentials.ts'
import { Transport, USUAL_LIMITS, type Target } from '../../../src/kube/transport.ts'
import { watchCluster } from '../../../src/kube/source.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { ApiServer } from '../../support/api-server.ts'
import { certificate } from '../../support/certificates.ts'
import { kubeconfigText, TemporaryFolder } from '../../support/cluster-follower.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const VERSION: Target = { verb: 'get', resource: null, path: '/version', query: {} }

describe('kube: credentials', () => {
  let folder: TemporaryFolder
  let server: ApiServer
  const clock = new FakeClock()
  const closables: { close(): Promise<void> }[] = []

  beforeEach(async () => {
    folder = await TemporaryFolder.make()
    server = await ApiServer.start()
    closables.push(server)
  })
  afterEach(async () => {
    for (const one of closables.splice(0).reverse()) await one.close()
    await folder.remove()
  })

  interface Options {
    readonly kubeconfig?: string | null
    readonly context?: string
    readonly apiServers?: readonly string[]
    readonly execLimit?: number
    readonly limits?: Partial<typeof USUAL_LIMITS>
    readonly podRoot?: string
  }

  function transport({ kubeconfig = null, context, apiServers = [], limits, ...more }: Options): Transport {
    const credentials = new Credentials({ kubeconfig, context: context ?? null, clock: more.execLimit === undefined ? clock : systemClock, ...more })
    const made = new Transport({ credentials, apiServers, limits: { ...USUAL_LIMITS, ...limits } })
    closables.push(made)
    return made
  }

  async function ask(one: Transport): Promise<string> {
    const { body, server: who } = await one.get(VERSION, new AbortController().signal)
    for await (const portion of body) assert.match(String(portion), /gitVersion/)
    return who
  }

  const shown = (): string | undefined => server.asked.at(-1)?.authorization

  describe('shown to the server', () => {
    it('are the token, or the name and password, of the kubeconfig', async () => {
      const file = await folder.write('k', kubeconfigText(server.url))
      const one = transport({ kubeconfig: file })
      await ask(one)
      assert.equal(shown(), 'Bearer secret')
      await folder.write('k', kubeconfigText(server.url, { user: { username: 'me', password: 'pass' } }))
      await ask(one)
      assert.equal(shown(), `Basic ${Buffer.from('me:pass').toString('base64')}`)
    })

    it('are those of the context that is named', async () => {
      const config = JSON.parse(kubeconfigText(server.url)) as { contexts: object[]; users: object[] }
      config.contexts.push({ name: 'there', context: { cluster: 'c', user: 'other' } })
      config.users.push({ name: 'other', user: { token: 'others' } })
      await ask(transport({ kubeconfig: await folder.write('k', JSON.stringify(config)), context: 'there' }))
      assert.equal(shown(), 'Bearer others')
    })

    it('are read again from a token file: within a minute, and at once after a 401', async () => {
      await folder.write('token', 'one\n')
      const one = transport({ kubeconfig: await folder.write('k', kubeconfigText(server.url, { user: { tokenFile: 'token' } })) })
      await ask(one)
      assert.equal(shown(), 'Bearer one')
      await folder.write('token', 'two\n')
      await clock.advance(61_000)
      await ask(one)
      assert.equal(shown(), 'Bearer two')
      await folder.write('token', 'three\n')
      server.behaviour.instead = ({ authorization }) => (authorization === 'Bearer three' ? null : { status: 401, body: '{"message":"Unauthorized"}' })
      await assert.rejects(ask(one), (error: Error) => {
        assert.match(error.message, /refuses the credentials \(401\), which are the token in \/.*token; expected ones that are valid/)
        return !error.message.includes('two')
      })
      await ask(one)
      assert.equal(shown(), 'Bearer three')
    })

    it("are the pod's own, in a pod, and its server is asked by the address that is configured", async () => {
      const secrets = path.join(folder.dir, 'var/run/secrets/kubernetes.io/serviceaccount')
      await mkdir(secrets, { recursive: true })
      const authority = certificate('authority')
      const { cert, key } = certificate('server', { issuer: authority, addresses: ['127.0.0.1'] })
      const secure = await ApiServer.start({ cert, key })
      closables.push(secure)
      await writeFile(path.join(secrets, 'ca.crt'), authority.cert)
      await writeFile(path.join(secrets, 'token'), 'of-the-pod')
      await ask(transport({ podRoot: folder.dir, apiServers: [secure.url] }))
      assert.equal(secure.asked.at(-1)?.authorization, 'Bearer of-the-pod')
    })

    it('outside of a pod, without a kubeconfig, are missed in clear words', async () => {
      const one = transport({ podRoot: folder.dir })
      await assert.rejects(ask(one), /the service account of this pod: the credentials cannot be read: .*serviceaccount\/(ca\.crt|token).*; outside of a pod: expected --kubeconfig FILE, or --source/)
    })
  })

  describe('of an exec plugin', () => {
    const plugin = async (script: string): Promise<string> => {
      const file = await folder.write('plugin', `#!/bin/sh\n${script}\n`)
      await chmod(file, 0o755)
      return folder.write('k', kubeconfigText(server.url, { user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: file, provideClusterInfo: true } } }))
    }

    it('are asked for once, and again after a 401', async () => {
      const state = path.join(folder.dir, 'count')
      const one = transport({ kubeconfig: await plugin(`echo x >> ${state}\nprintf '{"status":{"token":"t%s"}}' $(wc -l < ${state})`) })
      await ask(one)
      await clock.advance(120_000)
      await ask(one)
      assert.equal(shown(), 'Bearer t1')
      server.behaviour.instead = ({ authorization }) => (authorization === 'Bearer t2' ? null : { status: 401, body: '' })
      await assert.rejects(ask(one), /refuses the credentials \(401\), which are those of the plugin/)
      await ask(one)
      assert.equal(shown(), 'Bearer t2')
    })

    it('learn what is asked of them', async () => {
      const seen = path.join(folder.dir, 'seen')
      await ask(transport({ kubeconfig: await plugin(`printf %s "$KUBERNETES_EXEC_INFO" > ${seen}\necho '{"status":{"token":"t"}}'`) }))
      const info = JSON.parse(await readFile(seen, 'utf8')) as { spec: { cluster: { server: string } }; kind: string }
      assert.deepEqual([info.kind, info.spec.cluster.server], ['ExecCredential', server.url])
    })

    it('that fails, answers nonsense, or hangs is named', async () => {
      await assert.rejects(ask(transport({ kubeconfig: await plugin('echo "please log in" >&2; exit 3') })), /the credential plugin ".*plugin" fails: please log in/)
      await assert.rejects(ask(transport({ kubeconfig: await plugin('echo hello') })), /the credential plugin ".*plugin" fails: .*not valid JSON/)
      const count = path.join(folder.dir, 'count')
      const one = transport({ kubeconfig: await plugin(`echo x >> ${count}\nexec sleep 2`), execLimit: 100 })
      for (let i = 0; i < 3; i += 1) await assert.rejects(ask(one), /plugin" fails: no answer within 0\.1 s/)
      assert.equal(await readFile(count, 'utf8'), 'x\n', 'it is not started again while it hangs')
    })
  })

  describe('of a wrong kubeconfig', () => {
    const start = (kubeconfig: string, context: string | null = null): Promise<unknown> =>
      watchCluster({ access: { kubeconfig, context, apiServers: [] }, clock: systemClock, onEvents: () => {}, onProblems: () => {} })
    const wrong: readonly (readonly [string, string, RegExp])[] = [
      ['no YAML', 'a: [', /no kubeconfig: .*; expected clusters, users and contexts/],
      ['not even a mapping', 'hello', /there is no context|no context is named|no kubeconfig/],
      ['empty', '', /no kubeconfig|no context is named/],
      ['without contexts', 'clusters: []', /no context is named \(current-context, --context\); expected one of none, since it has no contexts/],
      ['with a cluster without server', 'clusters: [{name: c, cluster: {}}]', /clusters\[0\]\.cluster\.server is missing/],
      ['with a server that is none', kubeconfigText('10.0.0.1:6443'), /cluster "c": server: expected https:\/\/HOST:PORT, got "10\.0\.0\.1:6443"/],
      ['without the cluster', JSON.stringify({ ...JSON.parse(kubeconfigText('https://a')), clusters: [] }), /context "here": there is no cluster "c"/],
      ['without the user', JSON.stringify({ ...JSON.parse(kubeconfigText('https://a')), users: [] }), /context "here": there is no user "u"/],
    ]
    for (const [what, text, pattern] of wrong) {
      it(`${what}: one line that says so`, async () => {
        const file = await folder.write('k', text)
        await assert.rejects(start(file), (error: Error & { code: string }) => {
          assert.match(error.message, pattern)
          assert.ok(error.message.startsWith(file) && !error.message.includes('\n'), error.message)
          return error.code === 'Credentials'
        })
      })
    }
    it('that is missing, or has no such context', async () => {
      await assert.rejects(start(path.join(folder.dir, 'none')), /none: the kubeconfig cannot be read: ENOENT/)
      await assert.rejects(start(await folder.write('k', kubeconfigText(server.url)), 'there'), /there is no context "there"; expected one of here/)
    })
    it('that asks for plain HTTP without saying that TLS does not matter', async () => {
      const text = kubeconfigText(server.url).replace('"insecure-skip-tls-verify":true', '"x":1')
      await assert.rejects(start(await folder.write('k', text)), /HTTP protocol is not allowed/)
    })
  })

  describe('over TLS', () => {
    const authority = certificate('authority')
    const trusted = Buffer.from(authority.cert).toString('base64')
    const secure = async (issuer = authority, options: object = {}, tls: object = {}): Promise<ApiServer> => {
      const { cert, key } = certificate('server', { issuer, addresses: ['127.0.0.1'], ...options })
      const made = await ApiServer.start({ cert, key, ...tls })
      closables.push(made)
      return made
    }
    const to = async (one: ApiServer, cluster: object = { 'certificate-authority-data': trusted }, user: object = { token: 't' }): Promise<Transport> =>
      transport({ kubeconfig: await folder.write('k', kubeconfigText(one.url, { cluster: cluster as never, user: user as never })) })

    it('the authority of the kubeconfig is trusted, and where it is switched off, anybody is', async () => {
      const one = await secure()
      await ask(await to(one))
      await ask(await to(await secure(certificate('stranger')), { 'insecure-skip-tls-verify': true }))
    })

    it('nobody else is: a stranger of the same name, other addresses, a certificate that has expired', async () => {
      await assert.rejects(ask(await to(await secure(certificate('authority')))), { code: 'CertificateNotTrusted', message: /certificate of https:.* is not trusted: .*; expected one that certificate-authority/ })
      await assert.rejects(ask(await to(await secure(certificate('stranger')))), { code: 'CertificateNotTrusted' })
      await assert.rejects(ask(await to(await secure(authority, { addresses: ['10.0.0.1'] }))), { code: 'CertificateNotTrusted', message: /is for other names/ })
      await assert.rejects(ask(await to(await secure(authority, { until: Date.now() - 1000 }))), { code: 'CertificateNotTrusted', message: /it has expired/ })
    })

    it('a server that speaks plain HTTP is named', async () => {
      const file = await folder.write('k', kubeconfigText(server.url.replace('http:', 'https:'), { cluster: { 'certificate-authority-data': trusted } }))
      await assert.rejects(ask(transport({ kubeconfig: file })), { code: 'TlsFailed', message: /does it speak HTTPS/ })
    })

    it('a client certificate is shown, and the new one as soon as its files change', async () => {
      const one = await secure(authority, {}, { requestCert: true, ca: authority.cert })
      const write = async (name: string): Promise<void> => {
        const { cert, key } = certificate(name, { issuer: authority })
        await folder.write('client.crt', cert)
        await folder.write('client.key', key)
      }
      await write('first')
      const through = await to(one, undefined, { 'client-certificate': 'client.crt', 'client-key': 'client.key' })
      await ask(through)
      assert.equal(one.asked.at(-1)?.client, 'first')
      await write('second')
      await ask(through)
      assert.equal(one.asked.at(-1)?.client, 'second')
      await folder.write('client.key', certificate('third').key)
      await assert.rejects(ask(through), { code: 'Credentials', message: /the client certificate, its key, or the authority of https:.* cannot be used/ })
      await write('third')
      await ask(through)
      assert.equal(one.asked.at(-1)?.client, 'third')
    })

    it("the kubeconfig's proxy is asked for a tunnel", async () => {
      const one = await secure()
      const tunnels: string[] = []
      const proxy = http.createServer().on('connect', (request: http.IncomingMessage, client: net.Socket) => {
        tunnels.push(request.url ?? '')
        const there = net.connect(one.port, '127.0.0.1', () => {
          client.write('HTTP/1.1 200 OK\r\n\r\n')
          client.pipe(there).pipe(client)
        })
        for (const socket of [client, there]) socket.on('error', () => {})
      })
      await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
      closables.unshift({ close: async () => void proxy.close() })
      const { port } = proxy.address() as net.AddressInfo
      await ask(await to(one, { 'certificate-authority-data': trusted, 'proxy-url': `http://127.0.0.1:${port}` }))
      assert.deepEqual(tunnels, [`127.0.0.1:${one.port}`])
    })

    it('an authority that is renewed is trusted as soon as its file changes', async () => {
      const other = certificate('other authority')
      const one = await secure(other)
      await folder.write('ca.crt', authority.cert)
      const through = await to(one, { 'certificate-authority': 'ca.crt' })
      await assert.rejects(ask(through), { code: 'CertificateNotTrusted' })
      await folder.write('ca.crt', other.cert)
      await ask(through)
    })
  })

  describe('with several servers', () => {
    it('the first that answers is asked, and the next when it goes away or fails', async () => {
      const other = await ApiServer.start()
      closables.push(other)
      const kubeconfig = await folder.write('k', kubeconfigText('http://127.0.0.1:1'))
      const one = transport({ kubeconfig, apiServers: ['http://127.0.0.1:1', server.url, other.url] })
      assert.equal(await ask(one), server.url)
      assert.equal(await ask(one), server.url)
      server.behaviour.instead = () => ({ status: 503, body: 'shutting down' })
      assert.equal(await ask(one), other.url)
      server.behaviour.instead = () => null
      one.leave(other.url)
      assert.equal(await ask(one), server.url)
    })

    it('requests at the same time do not mislead each other', async () => {
      const kubeconfig = await folder.write('k', kubeconfigText('http://127.0.0.1:1'))
      const one = transport({ kubeconfig, apiServers: ['http://127.0.0.1:1', server.url] })
      assert.deepEqual(await Promise.all(Array.from({ length: 7 }, () => ask(one))), Array.from({ length: 7 }, () => server.url))
      for (let i = 0; i < 2; i += 1) one.leave('http://127.0.0.1:1')
      assert.equal(await ask(one), server.url)
    })

    it('none of which answers, each is named', async () => {
      const kubeconfig = await folder.write('k', kubeconfigText('http://127.0.0.1:1'))
      server.behaviour.instead = () => 'hang'
      const apiServers = ['http://127.0.0.1:1', server.url, 'http://no.such.name.invalid']
      await assert.rejects(ask(transport({ kubeconfig, apiServers, limits: { answer: 100 } })), (error: Error & { code: string }) => {
        assert.match(error.message, /127\.0\.0\.1:1 cannot be reached: nobody listens there/)
        assert.match(error.message, /127\.0\.0\.1:\d+ cannot be reached: connected, and no answer in time/)
        assert.match(error.message, /no\.such\.name\.invalid cannot be reached: the name /)
        return error.code === 'Unreachable'
      })
    })
  })

  it('no answer that is no Kubernetes API is taken for one', async () => {
    const one = transport({ kubeconfig: await folder.write('k', kubeconfigText(server.url)) })
    for (const [status, code, pattern] of [[404, 'UnknownServer', /knows no such path \(404\) to get the version; expected a Kubernetes API server/], [500, 'ServerError', /it says: <h1>\\u\{1b\}/]] as const) {
      server.behaviour.instead = () => ({ status, body: `<h1>\u001b${'x'.repeat(100_000)}` })
      await assert.rejects(ask(one), (error: Error & { code: string }) => {
        assert.match(error.message, pattern)
        assert.ok(error.message.length < 600)
        return error.code === code
      })
    }
  })
})
