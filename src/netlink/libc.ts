// The few calls of libc that Node has no form for, through koffi: sockets of any family, and entering a namespace.
//
// All of them block; whoever calls them is a worker, or knows that the call cannot wait (MSG_DONTWAIT).
// **Invariant:** a call either succeeds or throws a SyscallError that names the call and the errno.
import koffi from 'koffi'
import os from 'node:os'

export const AF_INET = 2
export const AF_INET6 = 10
export const AF_NETLINK = 16
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_RCVTIMEO = 20
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const SOL_NETLINK = 270
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40
export const CLONE_NEWNET = 0x40000000

type Call = (...args: unknown[]) => number
let functions: Record<'socket' | 'bind' | 'getsockname' | 'setsockopt' | 'sendto' | 'recv' | 'recvfrom' | 'close' | 'dup2' | 'open' | 'setns', Call> | null = null

let trim: Call | null = null

function libc(): NonNullable<typeof functions> {
  if (functions !== null) return functions
  const lib = load()
  functions = {
    socket: lib.func('int socket(int domain, int type, int protocol)'),
    bind: lib.func('int bind(int fd, const void *address, uint32_t length)'),
    getsockname: lib.func('int getsockname(int fd, void *address, void *addressLength)'),
    setsockopt: lib.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)'),
    sendto: lib.func('intptr_t sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t addressLength)'),
    recv: lib.func('intptr_t recv(int fd, void *buffer, size_t length, int flags)'),
    recvfrom: lib.func('intptr_t recvfrom(int fd, void *buffer, size_t length, int flags, void *address, void *addressLength)'),
    close: lib.func('int close(int fd)'),
    dup2: lib.func('int dup2(int from, int to)'),
    open: lib.func('int open(const char *path, int flags)'),
    setns: lib.func('int setns(int fd, int type)'),
  }
  return functions
}

/** Looks the calls up now and not at the first call: a worker may be ended only behind this (lib/workers.ts). */
export function loadLibc(): void {
  libc()
}

/** glibc first, then musl's name. */
function load(): ReturnType<typeof koffi.load> {
  try {
    return koffi.load('libc.so.6')
  } catch {
    return koffi.load('libc.so')
  }
}

export class SyscallError extends Error {
  readonly code: string
  constructor(call: string, errno: number) {
    const code = Object.entries(os.constants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`
    super(`${call}: ${code}`)
    this.name = 'SyscallError'
    this.code = code
  }
}

function checked(call: string, result: number): number {
  if (Number(result) < 0) throw new SyscallError(call, koffi.errno())
  return Number(result)
}

export function socket(domain: number, type: number, protocol: number): number {
  return checked('socket', libc().socket(domain, type | SOCK_CLOEXEC, protocol))
}

export function bind(fd: number, address: Uint8Array): void {
  checked('bind', libc().bind(fd, address, address.length))
}

/** Fills `address` with the socket's own. */
export function getsockname(fd: number, address: Uint8Array): void {
  checked('getsockname', libc().getsockname(fd, address, new Uint32Array([address.length])))
}

export function setsockopt(fd: number, level: number, name: number, value: Uint8Array): void {
  checked('setsockopt', libc().setsockopt(fd, level, name, value, value.length))
}

/** Bytes sent. `address` null where the socket is connected. */
export function sendto(fd: number, data: Uint8Array, address: Uint8Array | null, flags = 0): number {
  return checked('sendto', libc().sendto(fd, data, data.length, flags, address, address?.length ?? 0))
}

/** Bytes received; null where nothing came within the socket's timeout, or is there with MSG_DONTWAIT. Throws ENOBUFS. */
export function recv(fd: number, buffer: Uint8Array, flags = 0): number | null {
  const got = Number(libc().recv(fd, buffer, buffer.length, flags))
  return got >= 0 ? got : nothingYet('recv')
}

/** Like recv; `address` is filled with the sender's sockaddr. */
export function recvfrom(fd: number, buffer: Uint8Array, address: Uint8Array, flags = 0): number | null {
  const length = new Uint32Array([address.length])
  const got = Number(libc().recvfrom(fd, buffer, buffer.length, flags, address, length))
  return got >= 0 ? got : nothingYet('recvfrom')
}

function nothingYet(call: string): null {
  const errno = koffi.errno()
  if (errno === os.constants.errno.EAGAIN || errno === os.constants.errno.EINTR) return null
  throw new SyscallError(call, errno)
}

export function close(fd: number): void {
  checked('close', libc().close(fd))
}

/** Makes the number `to` stand for what `from` stands for; what `to` stood for is closed. */
export function dup2(from: number, to: number): void {
  checked('dup2', libc().dup2(from, to))
}

/** Moves the calling thread, and no other, into the network namespace at `path` (/run/netns/NAME). */
export function enterNetns(path: string): void {
  const fd = checked(`open ${path}`, libc().open(path, 0))
  try {
    checked(`setns ${path}`, libc().setns(fd, CLONE_NEWNET))
  } finally {
    close(fd)
  }
}

/** A struct timeval for SO_RCVTIMEO, on 64-bit machines. */
export function timeval(milliseconds: number): Uint8Array {
  const value = Buffer.alloc(16)
  value.writeBigInt64LE(BigInt(Math.floor(milliseconds / 1000)), 0)
  value.writeBigInt64LE(BigInt((milliseconds % 1000) * 1000), 8)
  return value
}

/** Gives back to the system what this process has freed: after large texts that is more than all that Picket keeps. Nothing with a libc that cannot. */
export function giveBackMemory(): void {
  try {
    trim ??= load().func('int malloc_trim(size_t pad)') as Call
    trim(0)
  } catch {
    // musl has none, and keeps nothing.
    trim = () => 0
  }
}
