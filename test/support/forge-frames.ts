// Sends whole Ethernet frames out of an interface of this namespace: arguments are its index and the frames in hexadecimal.
//
// **Invariant:** each frame is sent once, as it stands.
import * as libc from '../../src/netlink/libc.ts'

const AF_PACKET = 17

const [, , index = '', ...frames] = process.argv
libc.loadLibc()
const fd = libc.socket(AF_PACKET, libc.SOCK_RAW, 0)
// struct sockaddr_ll: family, protocol, index.
const address = new Uint8Array(20)
const view = new DataView(address.buffer)
view.setUint16(0, AF_PACKET, true)
view.setInt32(4, Number(index), true)
for (const frame of frames) libc.sendto(fd, Buffer.from(frame, 'hex'), address)
libc.close(fd)
