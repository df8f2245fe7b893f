// Bytes -> their CRC32c (Castagnoli), the checksum of SCTP packets, which connection tracking verifies.
//
// **Invariant:** pure; the reflected form with polynomial 0x82f63b78, start and end inverted (RFC 9260, appendix A).

const TABLE = makeTable()

function makeTable(): Uint32Array {
  const table = new Uint32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
    table[byte] = value >>> 0
  }
  return table
}

/** An unsigned 32-bit number. SCTP writes it with the lowest byte first. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] as number)
  return (crc ^ 0xffffffff) >>> 0
}
