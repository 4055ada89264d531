package webhook

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAddresses(t *testing.T) {
	for text, fine := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "93.184.216.34": true, "172.32.0.1": true, "192.167.1.1": true, "100.63.0.1": true,
		"2606:4700::1111": true, "2a00:1450::1": true, "::ffff:8.8.8.8": true, "64:ff9b::8.8.8.8": true,
		"0.0.0.0": false, "127.0.0.1": false, "127.255.1.1": false, "10.1.2.3": false, "172.16.0.1": false,
		"172.31.255.255": false, "192.168.1.1": false, "169.254.169.254": false, "169.254.170.2": false,
		"100.64.0.1": false, "100.100.100.200": false, "100.127.255.255": false, "168.63.129.16": false,
		"192.0.0.192": false, "192.0.2.1": false, "192.88.99.1": false, "198.18.0.1": false, "198.19.255.255": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "2606:4700::1111%eth0": false, "fc00::1": false,
		"fd00:ec2::254": false, "ff02::1": false, "2001:db8::1": false, "3fff::1": false, "2001::1": false,
		"2001:0:5ef5:79fb:0:59d:807f:1": false, "2002:7f00:1::1": false, "2002:808:808::1": false, "100::1": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false, "64:ff9b::127.0.0.1": false,
		"64:ff9b::169.254.169.254": false, "64:ff9b::10.0.0.1": false, "64:ff9b:1::8.8.8.8": false, "fec0::1": false,
		"5f00::1": false,
	} {
		addr := netip.MustParseAddr(text)
		if got := allowed(addr, nil, true); got != fine {
			t.Errorf("%s: allowed %t", text, got)
		}
		if allowed(addr, nil, false) {
			t.Errorf("%s: allowed without encryption", text)
		}
	}
	if allowed(netip.Addr{}, nil, true) {
		t.Error("no address at all is allowed")
	}
}

// TestAllowList: what the operator allows is allowed, with and without encryption, however it is written.
func TestAllowList(t *testing.T) {
	allow := prefixes("10.1.0.0/16", "fd00::/8", "8.8.8.8/32")
	for text, want := range map[string]struct{ https, http bool }{
		"10.1.2.3": {true, true}, "::ffff:10.1.2.3": {true, true}, "10.2.0.1": {}, "fd00:ec2::254": {true, true},
		"fd00::1%eth0": {}, "8.8.8.8": {true, true}, "8.8.4.4": {true, false}, "127.0.0.1": {},
	} {
		addr := netip.MustParseAddr(text)
		if https, http := allowed(addr, allow, true), allowed(addr, allow, false); https != want.https || http != want.http {
			t.Errorf("%s: https %t, http %t", text, https, http)
		}
	}
}

// TestEveryFormOfAnAddress: in whatever form an IPv4 address is hidden in one of IPv6, it is not let through where it
// would not be in its own.
func TestEveryFormOfAnAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address"))
		if rapid.Bool().Draw(t, "special") {
			base := rapid.SampledFrom(special4).Draw(t, "network").Masked().Addr().As4()
			copy(b[:2], base[:2])
		}
		plain := netip.AddrFrom4(b)
		var mapped, nat, six, teredo, compatible [16]byte
		mapped = plain.As16()
		nat = netip.MustParseAddr("64:ff9b::").As16()
		copy(nat[12:], b[:])
		six[0], six[1] = 0x20, 0x02
		copy(six[2:], b[:])
		teredo[0], teredo[1] = 0x20, 0x01
		for i := range b {
			teredo[12+i] = ^b[i]
		}
		copy(compatible[12:], b[:])
		for _, form := range [][16]byte{mapped, nat, six, teredo, compatible} {
			if addr := netip.AddrFrom16(form); allowed(addr, nil, true) && !allowed(plain, nil, true) {
				t.Fatalf("%s is allowed, %s is not", addr, plain)
			}
		}
	})
}

// TestCheck: what can never be sent to is refused when it is written down, and the URL is not repeated.
func TestCheck(t *testing.T) {
	local := prefixes("10.0.0.0/8")
	for url, fine := range map[string]struct{ strict, local bool }{
		"https://hook.example/in":    {true, true},
		"https://hook.example:x/":    {},
		"https://hook.example:443/":  {true, true},
		"https://hook.example:0/":    {},
		"https://hook.example:99999": {},
		"http://hook.example/in":     {false, true},
		"https://8.8.8.8/":           {true, true},
		"http://8.8.8.8/":            {},
		"https://10.1.1.1/":          {false, true},
		"http://10.1.1.1:81/":        {false, true},
		"https://127.0.0.1/":         {},
		"https://[::1]/":             {},
		"https://[::ffff:10.0.0.1]":  {false, true},
		"https://169.254.169.254/":   {},
		"https://a:b@hook.example":   {},
		"ftp://hook.example":         {},
		"https://hook.example/%zz":   {},
	} {
		for allow, want := range map[bool]bool{false: fine.strict, true: fine.local} {
			var given []netip.Prefix
			if allow {
				given = local
			}
			err := Check(url, given)
			if (err == nil) != want {
				t.Errorf("%s, allowed local addresses %t: %v", url, allow, err)
			}
			if err != nil && strings.Contains(err.Error(), "example") {
				t.Errorf("%s is repeated: %v", url, err)
			}
		}
	}
}
