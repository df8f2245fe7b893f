// nft's own words for protocols: what it can read without /etc/protocols.
//
// Listings come with numbers, elements are written with words where there is one.
// **Invariant:** one word for a number.

export const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp', 2: 'igmp', 6: 'tcp', 17: 'udp', 33: 'dccp', 50: 'esp', 51: 'ah', 58: 'icmpv6', 108: 'comp', 132: 'sctp', 136: 'udplite',
}
