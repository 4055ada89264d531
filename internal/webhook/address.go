package webhook

import (
	"errors"
	"net/netip"
)

// special4 are the IPv4 addresses that are nobody's server on the internet, or one that only machines in a data centre
// may ask (IANA IPv4 Special-Purpose Address Registry, multicast, and one cloud's own).
var special4 = prefixes(
	"0.0.0.0/8",        // this network (RFC 791)
	"10.0.0.0/8",       // private (RFC 1918)
	"100.64.0.0/10",    // carrier-grade NAT (RFC 6598); a cloud's metadata are at 100.100.100.200
	"127.0.0.0/8",      // loopback (RFC 1122)
	"168.63.129.16/32", // where a cloud answers its own machines about themselves
	"169.254.0.0/16",   // link-local (RFC 3927); clouds' metadata are at 169.254.169.254
	"172.16.0.0/12",    // private (RFC 1918)
	"192.0.0.0/24",     // protocol assignments (RFC 6890); a cloud's metadata are at 192.0.0.192
	"192.0.2.0/24",     // documentation (RFC 5737)
	"192.88.99.0/24",   // relays of 6to4 (RFC 7526)
	"192.168.0.0/16",   // private (RFC 1918)
	"198.18.0.0/15",    // benchmarking (RFC 2544)
	"198.51.100.0/24",  // documentation (RFC 5737)
	"203.0.113.0/24",   // documentation (RFC 5737)
	"224.0.0.0/3",      // multicast (RFC 5771), reserved, broadcast (RFC 1112)
)

// global6 is the only part of IPv6 from which addresses are given out. Loopback, unique-local (fc00::/7, and with it
// the metadata at fd00:ec2::254), link-local, multicast, IPv4-compatible and discard addresses all lie outside it.
var global6 = netip.MustParsePrefix("2000::/3")

// special6 are the parts of global6 that are nobody's server (IANA IPv6 Special-Purpose Address Registry).
var special6 = prefixes(
	"2001::/23",     // protocol assignments (RFC 2928): Teredo, which may mean any IPv4 address, benchmarking, ORCHID
	"2001:db8::/32", // documentation (RFC 3849)
	"2002::/16",     // 6to4 (RFC 7526), which may mean any IPv4 address
	"3fff::/20",     // documentation (RFC 9637)
)

// nat64 are the addresses by which a network without IPv4 reaches it: the last four bytes are who is meant (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// allowed tells whether an address may be connected to: where a prefix of the operator's holds it, and else where it is
// a public one and the connection is encrypted.
func allowed(addr netip.Addr, allow []netip.Prefix, encrypted bool) bool {
	if addr.Zone() != "" {
		return false // it is link-local, and of which network is the URL's word
	}
	addr = addr.Unmap()
	return among(addr, allow) || encrypted && public(addr)
}

var (
	errNoHTTPS       = errors.New("must begin with https://, since no address is allowed that http could go to")
	errHostIsAddress = errors.New("must not name an address that is not public, unless the operator allows it")
)

// Check refuses a URL that nothing could be sent to, as far as that can be told without looking its host up: allow is
// as in Options. The error does not repeat the URL.
func Check(text string, allow []netip.Prefix) error {
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	if u.Scheme != "https" && len(allow) == 0 {
		return errNoHTTPS
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && !allowed(addr, allow, u.Scheme == "https") {
		return errHostIsAddress
	}
	return nil
}

// public tells whether an address may be that of a server on the internet.
func public(addr netip.Addr) bool {
	switch {
	case addr.Is4():
		return !among(addr, special4)
	case nat64.Contains(addr):
		all := addr.As16()
		return public(netip.AddrFrom4([4]byte(all[12:])))
	default:
		return addr.IsValid() && global6.Contains(addr) && !among(addr, special6)
	}
}

func among(addr netip.Addr, networks []netip.Prefix) bool {
	for _, network := range networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
