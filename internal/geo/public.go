package geo

import (
	"encoding/binary"
	"net/netip"
)

// special4 are the IPv4 addresses that belong to no place
// (IANA IPv4 Special-Purpose Address Registry, and multicast).
var special4 = blocks(upper4,
	"0.0.0.0/8",       // this network (RFC 791)
	"10.0.0.0/8",      // private (RFC 1918)
	"100.64.0.0/10",   // carrier-grade NAT (RFC 6598)
	"127.0.0.0/8",     // loopback (RFC 1122)
	"169.254.0.0/16",  // link-local (RFC 3927)
	"172.16.0.0/12",   // private (RFC 1918)
	"192.0.0.0/24",    // protocol assignments (RFC 6890)
	"192.0.2.0/24",    // documentation (RFC 5737)
	"192.168.0.0/16",  // private (RFC 1918)
	"198.18.0.0/15",   // benchmarking (RFC 2544)
	"198.51.100.0/24", // documentation (RFC 5737)
	"203.0.113.0/24",  // documentation (RFC 5737)
	"224.0.0.0/3",     // multicast (RFC 5771), reserved, broadcast (RFC 1112)
)

// global6 is the only part of IPv6 from which addresses are given out. Private (fc00::/7),
// link-local, loopback, multicast, NAT64 and discard addresses all lie outside it.
var global6 = blocks(upper6, "2000::/3")

// special6 are the parts of global6 that belong to no place
// (IANA IPv6 Special-Purpose Address Registry).
var special6 = blocks(upper6,
	"2001::/23",     // protocol assignments: Teredo, benchmarking, ORCHID (RFC 2928)
	"2001:db8::/32", // documentation (RFC 3849)
	"3fff::/20",     // documentation (RFC 9637)
)

// public says whether somebody somewhere may have the address. It is asked before any table,
// since tables of countries do list such networks now and then. A zone tells nothing of the place.
func public(addr netip.Addr) bool {
	switch {
	case addr.Is4():
		return !among(upper4(addr), special4)
	case addr.Is6():
		return among(upper6(addr), global6) && !among(upper6(addr), special6)
	default:
		return false
	}
}

// block is a network as two numbers. Comparing them takes a tenth of the time of
// netip.Prefix.Contains, which would cost more than the look-up in the table.
type block[K uint32 | uint64] struct{ base, mask K }

func among[K uint32 | uint64](value K, networks []block[K]) bool {
	for _, n := range networks {
		if value&n.mask == n.base {
			return true
		}
	}
	return false
}

func blocks[K uint32 | uint64](upper func(netip.Addr) K, networks ...string) []block[K] {
	var list []block[K]
	for _, network := range networks {
		prefix := netip.MustParsePrefix(network)
		list = append(list, block[K]{base: upper(prefix.Addr()), mask: ^(^K(0) >> prefix.Bits())})
	}
	return list
}

func upper4(addr netip.Addr) uint32 {
	b := addr.As4()
	return binary.BigEndian.Uint32(b[:])
}

// upper6 is the upper half of an IPv6 address.
func upper6(addr netip.Addr) uint64 {
	b := addr.As16()
	return binary.BigEndian.Uint64(b[:8])
}
