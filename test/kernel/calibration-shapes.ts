// Rule shapes and chains of rules that the tracer knows: the material of its calibration.
//
// **Invariant:** data only; addresses and names are those of tracer-calibration.test.ts.

/** Sets that shapes name. */
export const SHAPE_SETS: readonly string[] = [
  'add set inet cal links { typeof iifname; }',
  'add element inet cal links { "ra" }',
  'add set inet cal wild { typeof iifname; flags interval; }',
  'add element inet cal wild { "ra*", "eth*" }',
  'add set inet cal senders-v4 { typeof iifname . ip saddr; }',
  'add element inet cal senders-v4 { "ra" . 10.90.1.2 }',
  'add set inet cal senders-v6 { typeof iifname . ip6 saddr; }',
  'add element inet cal senders-v6 { "ra" . fd90:1::2 }',
  'add set inet cal prefixes-v4 { typeof iifname . ip saddr; flags interval; }',
  'add element inet cal prefixes-v4 { "ra" . 10.90.1.0-10.90.1.127, "rb" . 10.90.9.0/24 }',
  'add set inet cal receivers-v4 { typeof oifname . ip daddr; }',
  'add element inet cal receivers-v4 { "rb" . 10.90.2.2 }',
  'add set inet cal nets-v4 { typeof ip saddr; flags interval; }',
  'add element inet cal nets-v4 { 10.90.1.0/28, 10.90.2.2-10.90.2.9, 192.0.2.1 }',
  'add set inet cal nets-v6 { typeof ip6 saddr; flags interval; }',
  'add element inet cal nets-v6 { fd90:1::/64, ffff::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff }',
  'add set inet cal hosts-v4 { type ipv4_addr; }',
  'add element inet cal hosts-v4 { 10.90.2.2 }',
  'add set inet cal both-v4 { typeof ip saddr . ip daddr; }',
  'add element inet cal both-v4 { 10.90.1.2 . 10.90.2.2 }',
  'add set inet cal pairs-v4 { typeof ip daddr . meta l4proto . th dport; }',
  'add element inet cal pairs-v4 { 10.90.2.2 . tcp . 80, 10.90.2.2 . udp . 53, 10.90.2.2 . sctp . 80 }',
  'add set inet cal pairs-v6 { typeof ip6 daddr . meta l4proto . th dport; }',
  'add element inet cal pairs-v6 { fd90:2::2 . tcp . 80 }',
  'add set inet cal seen { typeof ip saddr . meta l4proto . th dport; flags dynamic, timeout; timeout 1m; size 100; }',
  'add set inet cal flows-v4 { typeof ip saddr . ip daddr . meta l4proto . th sport . th dport; }',
  'add element inet cal flows-v4 { 10.90.1.2 . 10.90.2.2 . udp . 68 . 53 }',
  'add set inet cal flows-v6 { typeof ip6 saddr . ip6 daddr . meta l4proto . th sport . th dport; }',
  'add element inet cal flows-v6 { fd90:1::2 . fd90:2::2 . udp . 68 . 67 }',
  // The tracer does not remember: what is updated is not looked up.
  'add set inet cal updated { typeof ip saddr . meta l4proto . th dport; flags dynamic, timeout; timeout 1m; size 100; }',
]

export const SHAPES: readonly string[] = [
  'iifname "ra"', 'iifname != "ra"', 'iifname "r*"', 'iifname { "ra", "rb" }', 'iifname @links', 'iifname != @links', 'iifname @wild', 'iifname != @wild',
  'oifname "rb"', 'oifname != "rb"', 'oifname @links', 'oifname != @links', 'meta iifkind "veth"', 'meta oifkind "veth"',
  'meta iifkind "veth" iifname != @links', 'meta oifkind "veth" oifname != @links',
  'iifname . ip saddr @senders-v4', 'iifname . ip6 saddr @senders-v6', 'iifname . ip saddr != @senders-v4', 'iifname . ip saddr @prefixes-v4',
  'oifname . ip daddr @receivers-v4', 'oifname . ip daddr != @receivers-v4', 'oifname "rb" oifname . ip daddr != @senders-v4',
  'ip saddr 10.90.1.2', 'ip saddr != 10.90.1.2', 'ip saddr 10.90.1.0/24', 'ip saddr 10.90.1.3-10.90.1.9', 'ip daddr { 10.90.2.2, 10.90.1.2 }',
  'ip saddr @nets-v4', 'ip saddr != @nets-v4', 'ip daddr @nets-v4', 'ip daddr @hosts-v4', 'ip6 saddr fd90:1::/64', 'ip6 saddr fe80::/10', 'ip6 saddr ::', 'ip6 saddr @nets-v6',
  'ip6 daddr != @nets-v6', 'ip6 hoplimit 63', 'ip6 hoplimit 255', 'ip saddr . ip daddr @both-v4', 'ip daddr . meta l4proto . th dport @pairs-v4',
  'ip6 daddr . meta l4proto . th dport @pairs-v6', 'ip daddr . meta l4proto . th dport != @pairs-v4',
  'meta l4proto { tcp, udp, sctp }', 'meta l4proto udp', 'meta l4proto != tcp', 'meta l4proto 47', 'meta l4proto { icmp, icmpv6 }', 'meta nfproto ipv4', 'meta nfproto ipv6', 'ip protocol tcp',
  'tcp dport 80', 'tcp dport 80-90', 'tcp dport != 80', 'tcp dport { 80, 85 }', 'udp dport 53', 'udp sport 68 udp dport 67', 'sctp dport 80', 'tcp sport 4001-4003', 'tcp flags & 0x17 != 0x2', 'tcp flags & 0x17 == 0x2', 'ct state new tcp flags & 0x17 != 0x2',
  'meta l4proto sctp @th,96,8 1', 'meta l4proto sctp @th,96,8 != 1', 'meta l4proto != { tcp, sctp }',
  'th dport 80', 'th dport { 53, 80 }', 'th dport != 80', 'th sport 53', 'meta l4proto tcp th dport 80', 'meta l4proto . th dport { tcp . 80, udp . 53 }',
  'ct state new', 'ct state != new', 'ct state established', 'ct state established,related', 'ct state { new, related }', 'ct state invalid', 'ct state untracked',
  'ct direction original', 'ct direction reply', 'ct direction != reply', 'ct mark 0', 'ct mark and 0xff == 0', 'meta l4proto { icmp, icmpv6 } ct state related',
  ...['original . reply', 'reply . original'].flatMap((ends) => {
    const [client, server] = ends.split(' . ')
    const key = (word: string): string => `ct ${client} ${word} saddr . ct ${server} ${word} saddr . ct protocol . ct ${client} proto-src . ct ${server} proto-src`
    return [`meta l4proto icmp ${key('ip')} @flows-v4`, `meta l4proto icmpv6 ${key('ip6')} @flows-v6`, `meta l4proto udp ${key('ip')} @flows-v4`]
  }),
  'icmp type echo-request', 'icmp type { destination-unreachable, echo-reply }', 'icmpv6 type echo-request', 'icmpv6 type { nd-neighbor-solicit, echo-request }', 'ip6 hoplimit 63 icmpv6 type echo-request',
  'ip saddr . meta l4proto . th dport @seen', 'meta l4proto udp update @updated { ip saddr . meta l4proto . th dport }', 'limit rate 1000/second burst 1000 packets',
]

const STAGES = [
  'add table inet cal',
  'add counter inet cal early',
  'add counter inet cal late',
  'add counter inet cal delivered',
  'add counter inet cal inside',
  'add counter inet cal behind',
  'add chain inet cal first { type filter hook forward priority filter - 10; policy accept; }',
  'add chain inet cal second { type filter hook forward priority filter - 5; policy accept; }',
  'add chain inet cal last { type filter hook postrouting priority srcnat - 10; policy accept; }',
  'add chain inet cal a',
  'add chain inet cal b',
  'add rule inet cal first counter name "early"',
  'add rule inet cal second counter name "late"',
  'add rule inet cal last icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept',
  'add rule inet cal last counter name "delivered"',
]
const INSIDE = 'add rule inet cal a counter name "inside"'
const BEHIND = 'add rule inet cal first counter name "behind"'

export const CONTROL_FLOW: Readonly<Record<string, readonly string[]>> = {
  'accept ends one base chain only': [...STAGES, 'add rule inet cal first accept', BEHIND, 'add rule inet cal second udp dport 53 drop'],
  'drop is final': [...STAGES, 'add rule inet cal first tcp dport 80 drop', BEHIND],
  'jump comes back': [...STAGES, 'add rule inet cal first jump a', BEHIND, INSIDE, 'add rule inet cal a tcp dport 80 accept', 'add rule inet cal a meta l4proto udp return', 'add rule inet cal a ip protocol icmp drop'],
  'goto does not': [...STAGES, 'add rule inet cal first meta l4proto udp goto a', BEHIND, INSIDE],
  'goto inside of jump comes back to the jump': [...STAGES, 'add rule inet cal first jump a', BEHIND, 'add rule inet cal a goto b', 'add rule inet cal a drop', 'add rule inet cal b counter name "inside"'],
  'a map of verdicts': [
    ...STAGES,
    'add map inet cal ports { typeof meta l4proto . th dport : verdict; }',
    'add element inet cal ports { tcp . 80 : jump a, udp . 53 : goto a, tcp . 85 : drop, sctp . 80 : accept }',
    'add rule inet cal first meta l4proto . th dport vmap @ports',
    BEHIND,
    INSIDE,
  ],
  'a map by interface, and one by interface and address': [
    ...STAGES,
    'add map inet cal by-link { typeof iifname : verdict; }',
    'add element inet cal by-link { "ra" : goto a, "rb" : accept }',
    'add map inet cal by-address { typeof oifname . ip daddr : verdict; }',
    'add element inet cal by-address { "rb" . 10.90.2.2 : drop, "ra" . 10.90.1.9 : drop }',
    'add rule inet cal first iifname vmap @by-link',
    BEHIND,
    INSIDE,
    'add rule inet cal second oifname . ip daddr vmap @by-address',
  ],
  'a map written in the rule': [...STAGES, 'add rule inet cal first meta l4proto vmap { tcp : drop, udp : jump a }', BEHIND, INSIDE],
  'policy drop': [...STAGES, 'add chain inet cal third { type filter hook forward priority filter; policy drop; }', 'add rule inet cal third meta l4proto { udp, sctp } accept'],
  'counters in front of what does not match': [...STAGES, 'add rule inet cal first counter name "behind" tcp dport 80 counter name "inside" drop'],
  'continue': [...STAGES, 'add rule inet cal first tcp dport 80 continue', BEHIND],
}
