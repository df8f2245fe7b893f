// Certificates for tests that speak TLS on loopback: an authority, and what it signs. Made when the test runs, so that no key lies in the repository.
//
// X.509 written out as DER, with keys and signatures of node:crypto. **Invariant:** every call makes new keys.
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'

export interface Certificate {
  readonly name: string
  /** PEM. */
  readonly cert: string
  /** PEM. */
  readonly key: string
  readonly privateKey: KeyObject
}

export interface CertificateOptions {
  /** By whom it is signed: by itself where it is absent. */
  readonly issuer?: Certificate
  /** That it is for: IPv4, or `::1`. */
  readonly addresses?: readonly string[]
  /** Milliseconds since 1970 until which it holds; a day from now where it is absent. */
  readonly until?: number
}

const DAY_MS = 86_400_000

export function certificate(name: string, options: CertificateOptions = {}): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const until = options.until ?? Date.now() + DAY_MS
  const tbs = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ECDSA_SHA256,
    nameOf(options.issuer?.name ?? name),
    sequence(time(until - 2 * DAY_MS), time(until)),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions(options))),
  )
  const signer = options.issuer?.privateKey ?? privateKey
  const der = sequence(tbs, ECDSA_SHA256, bits(sign('sha256', tbs, signer)))
  const cert = `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replaceAll(/(.{1,64})/g, '$1\n')}-----END CERTIFICATE-----\n`
  return { name, cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), privateKey }
}

function extensions({ issuer, addresses }: CertificateOptions): readonly Buffer[] {
  const authority = sequence(oid(2, 5, 29, 19), tagged(0x01, Buffer.from([0xff])), octets(sequence(tagged(0x01, Buffer.from([0xff])))))
  const names = (addresses ?? []).map((address) => tagged(0x87, address === '::1' ? Buffer.from([...Buffer.alloc(15), 1]) : Buffer.from(address.split('.').map(Number))))
  return [...(issuer === undefined ? [authority] : []), ...(names.length === 0 ? [] : [sequence(oid(2, 5, 29, 17), octets(sequence(...names)))])]
}

function tagged(tag: number, content: Buffer): Buffer {
  const size = content.length
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts))
}

function integer(value: Buffer): Buffer {
  return tagged(0x02, value)
}

function octets(value: Buffer): Buffer {
  return tagged(0x04, value)
}

function bits(value: Buffer): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([0]), value]))
}

function oid(first: number, second: number, ...rest: readonly number[]): Buffer {
  const bytes = rest.flatMap((part) => {
    const groups = [part & 127]
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 127) | 128)
    return groups
  })
  return tagged(0x06, Buffer.from([first * 40 + second, ...bytes]))
}

function nameOf(text: string): Buffer {
  return sequence(tagged(0x31, sequence(oid(2, 5, 4, 3), tagged(0x0c, Buffer.from(text)))))
}

/** UTCTime: until 2049. */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)
  return tagged(0x17, Buffer.from(`${digits}Z`))
}

const ECDSA_SHA256 = sequence(oid(1, 2, 840, 10045, 4, 3, 2))
