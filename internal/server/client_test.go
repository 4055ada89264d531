package server_test

import (
	"maps"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/server"
)

const (
	proxies = "10.0.0.0/8 fd00::/8"
	absent  = "invalid IP"
)

// clientOf gives the address that a server takes for the client's.
func clientOf(trusted, peer, header string, lines ...string) (got netip.Addr) {
	o := server.Options{Log: quiet()}
	for _, prefix := range strings.Fields(trusted) {
		o.TrustedProxies = append(o.TrustedProxies, netip.MustParsePrefix(prefix))
	}
	s := server.NewOf(o, []protocol.Protocol{speaking("one", func(c *protocol.Call) error {
		got = c.Client
		return nil
	})})
	r := httptest.NewRequest("POST", "/one/call", nil)
	r.RemoteAddr = peer
	for _, line := range lines {
		r.Header.Add(header, line)
	}
	s.ServeHTTP(httptest.NewRecorder(), r)
	return got
}

// TestPeerAddress proves "trusted proxies by configuration, none by default", and that a proxy's own address is
// nobody's.
func TestPeerAddress(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, trusted, peer, forwarded, want string }{
		{"nobody is trusted", "", "10.0.0.1:5", "203.0.113.9", "10.0.0.1"},
		{"spoofed without a proxy", proxies, "198.51.100.7:5", "203.0.113.9", "198.51.100.7"},
		{"a proxy", proxies, "10.0.0.1:5", "203.0.113.9", "203.0.113.9"},
		{"a proxy that says nothing", proxies, "10.0.0.1:5", "", absent},
		{"IPv6", "", "[2001:db8::7]:5", "", "2001:db8::7"},
		{"IPv6 proxy", proxies, "[fd00::1]:5", "2001:DB8:0::9", "2001:db8::9"},
		{"IPv6 proxy with a zone", proxies, "[fd00::1%eth0]:5", "203.0.113.9", "203.0.113.9"},
		{"IPv6 with a zone", "", "[fe80::1%eth0]:5", "", "fe80::1"},
		{"IPv4 in IPv6", proxies, "[::ffff:10.0.0.1]:5", "203.0.113.9", "203.0.113.9"},
		{"no address", proxies, "@", "203.0.113.9", absent},
	} {
		var lines []string
		if tc.forwarded != "" {
			lines = []string{tc.forwarded}
		}
		if got := clientOf(tc.trusted, tc.peer, "X-Forwarded-For", lines...); got.String() != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestForwardedAddress proves common.md, "Places": the nearest address that is no trusted proxy's, as X-Forwarded-For
// and as Forwarded say it; what is no address is absent.
func TestForwardedAddress(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, plain, standard, want string }{
		{"an address", "203.0.113.9", "for=203.0.113.9", "203.0.113.9"},
		{"spoofed", "1.2.3.4, 203.0.113.9", "for=1.2.3.4, for=203.0.113.9", "203.0.113.9"},
		{"a proxy's address spoofed", "10.9.9.9, 203.0.113.9", "for=10.9.9.9, for=203.0.113.9", "203.0.113.9"},
		{"a chain", "203.0.113.9, 10.0.0.2,10.0.0.3", "for=203.0.113.9, for=10.0.0.2,for=10.0.0.3", "203.0.113.9"},
		{"several lines", "203.0.113.9\n10.0.0.2", "for=203.0.113.9\nfor=10.0.0.2", "203.0.113.9"},
		{"several lines, spoofed", "1.2.3.4\n203.0.113.9", "for=1.2.3.4\nfor=203.0.113.9", "203.0.113.9"},
		{"an empty line behind", "203.0.113.9\n", "for=203.0.113.9\n", "203.0.113.9"},
		{"empty elements", ", 203.0.113.9,, \t,", ", for=203.0.113.9,, \t,", "203.0.113.9"},
		{"only empty elements", ",,", ",,", absent},
		{"an empty value", "", "", absent},
		{"only proxies", "10.0.0.3, 10.0.0.2", "for=10.0.0.3, for=10.0.0.2", absent},

		{"IPv4 with a port", "81.2.69.142:5555", `for="81.2.69.142:5555"`, "81.2.69.142"},
		{"IPv4 with a port, no quotes", "81.2.69.142:5555", `for=81.2.69.142:5555`, "81.2.69.142"},
		{"IPv6", "2001:db8::9", `for="2001:db8::9"`, "2001:db8::9"},
		{"IPv6 in brackets", "[2001:db8::9]", `for="[2001:db8::9]"`, "2001:db8::9"},
		{"IPv6 with a port", "[2001:db8::1]:443", `for="[2001:db8::1]:443"`, "2001:db8::1"},
		{"IPv6 with a hidden port", "[2001:db8::1]:_x", `for="[2001:db8::1]:_x"`, "2001:db8::1"},
		{"a proxy with a port", "203.0.113.9, 10.0.0.2:80, [fd00::1]:80",
			`for=203.0.113.9, for="10.0.0.2:80", for="[fd00::1]:80"`, "203.0.113.9"},
		{"a zone", "fe80::1%eth0", `for="fe80::1%eth0"`, "fe80::1"},
		{"a zone in brackets", "[fe80::1%eth0]:80", `for="[fe80::1%eth0]:80"`, "fe80::1"},
		{"a proxy with a zone", "203.0.113.9, fd00::1%eth0", `for=203.0.113.9, for="[fd00::1%eth0]"`, "203.0.113.9"},
		{"IPv4 in IPv6", "::ffff:203.0.113.9", `for="[::ffff:203.0.113.9]"`, "203.0.113.9"},
		{"a proxy in IPv6", "203.0.113.9, ::ffff:10.0.0.2", `for=203.0.113.9, for="[::ffff:10.0.0.2]"`, "203.0.113.9"},

		{"unknown", "unknown", "for=unknown", absent},
		{"a hidden name", "_gazonk", "for=_gazonk", absent},
		{"garbage", "<script>", "<script>", absent},
		{"garbage before", "<script>, 203.0.113.9", "<script>, for=203.0.113.9", "203.0.113.9"},
		{"garbage between", "203.0.113.9, x, 10.0.0.2", "for=203.0.113.9, for=x, for=10.0.0.2", absent},
		{"an empty port", "203.0.113.9:", `for="203.0.113.9:"`, absent},
		{"a long port", "203.0.113.9:123456", `for="203.0.113.9:123456"`, absent},
		{"a port of letters", "203.0.113.9:http", `for="203.0.113.9:http"`, absent},
		{"IPv4 in brackets", "[203.0.113.9]:80", `for="[203.0.113.9]:80"`, absent},
		{"an open bracket", "[2001:db8::1", `for="[2001:db8::1"`, absent},
		{"words behind a bracket", "[2001:db8::1]x", `for="[2001:db8::1]x"`, absent},
		{"leading zeros", "203.0.113.09", "for=203.0.113.09", absent},
		{"a name", "localhost", "for=localhost", absent},
	} {
		if got := clientOf(proxies, "10.0.0.1:5", "X-Forwarded-For", strings.Split(tc.plain,
			"\n")...); got.String() != tc.want {
			t.Errorf("%s, X-Forwarded-For: got %s, want %s", tc.name, got, tc.want)
		}
		if got := clientOf(proxies, "10.0.0.1:5", "Forwarded", strings.Split(tc.standard,
			"\n")...); got.String() != tc.want {
			t.Errorf("%s, Forwarded: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestForwardedSyntax proves what RFC 7239 has beyond a list of addresses.
func TestForwardedSyntax(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, value, want string }{
		{"the RFC's example", `For="[2001:db8:cafe::17]:4711"`, "2001:db8:cafe::17"},
		{"other parameters", `for=192.0.2.60;proto=http;by=203.0.113.43`, "192.0.2.60"},
		{"other parameters before", `proto=https; host="a,b;for=1.2.3.4"; FOR="192.0.2.60"`, "192.0.2.60"},
		{"a separator in quotes", `for=192.0.2.60;host="a, for=1.2.3.4"`, "192.0.2.60"},
		{"a quote in quotes", `for=192.0.2.60;host="a\", for=1.2.3.4"`, "192.0.2.60"},
		{"a backslash in quotes", `for=1.2.3.4, for=192.0.2.60;host="a\\"`, "192.0.2.60"},
		{"a client's open quote", `for=1.2.3.4;x=", for="192.0.2.60";by="10.0.0.1"`, "192.0.2.60"},
		{"a client's open quote with a backslash", `for=1.2.3.4;x="\, for="192.0.2.60"`, "192.0.2.60"},
		{"an open quote that is reached", `for="1.2.3.4, for=10.0.0.2`, absent},
		{"a lone quote", `for="`, absent},
		{"a quote behind", `for=1.2.3.4"`, absent},
		{"a quoted pair", `for="1.2.3\.4"`, absent},
		{"no for", `proto=https;by=203.0.113.43`, absent},
		{"no for at a proxy", `for=1.2.3.4, proto=https`, absent},
		{"for twice", `for=1.2.3.4;for=192.0.2.60`, absent},
		{"no value", `for`, absent},
		{"an empty value", `for=`, absent},
		{"empty parameters", `;for=192.0.2.60;;`, "192.0.2.60"},
	} {
		if got := clientOf(proxies, "10.0.0.1:5", "Forwarded", tc.value); got.String() != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestTwoForwardingHeaders proves that Forwarded is not read beside X-Forwarded-For, whatever that one says.
func TestTwoForwardingHeaders(t *testing.T) {
	t.Parallel()
	for plain, want := range map[string]string{"203.0.113.9": "203.0.113.9", "unknown": absent, "": absent} {
		var got netip.Addr
		s := server.NewOf(server.Options{Log: quiet(),
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
			[]protocol.Protocol{speaking("one", func(c *protocol.Call) error {
				got = c.Client
				return nil
			})})
		r := httptest.NewRequest("POST", "/one/call", nil)
		r.RemoteAddr = "10.0.0.1:5"
		r.Header.Set("X-Forwarded-For", plain)
		r.Header.Set("Forwarded", "for=1.2.3.4")
		s.ServeHTTP(httptest.NewRecorder(), r)
		if got.String() != want {
			t.Errorf("%q: got %s, want %s", plain, got, want)
		}
	}
}

// FuzzForwarded proves that no header makes a client of a trusted proxy, that an address has no zone, and that what a
// client writes before the hop of the nearest proxy changes nothing.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "203.0.113.9, 10.0.0.2", "[2001:db8::1]:443", "unknown",
		`for="[2001:db8::1]:443";by=10.0.0.1`,
		`for=1.2.3.4;x=", for="a\\"`, "for=10.0.0.2", "fe80::1%eth0", ",,", `"\`} {
		f.Add(seed)
	}
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, value string) {
		for header, hop := range map[string]string{"X-Forwarded-For": "[2001:db8::1]:443",
			"Forwarded": `proto=https;for="[2001:db8::1]:443";host="a\"b"`} {
			got := clientOf("10.0.0.0/8", "10.0.0.1:5", header, value)
			if trusted.Contains(got) || got.Zone() != "" || got.Is4In6() {
				t.Errorf("%s: %q: got %s", header, value, got)
			}
			if got := clientOf("10.0.0.0/8", "10.0.0.1:5", header, value+", "+hop); got.String() != "2001:db8::1" {
				t.Errorf("%s: %q before the proxy's hop: got %s", header, value, got)
			}
		}
	})
}

// TestNoAddressIsKept proves that a decision whose sender's address no proxy names is kept without one.
func TestNoAddressIsKept(t *testing.T) { onEngines(t, testNoAddressIsKept) }

func testNoAddressIsKept(t *testing.T, e *engine) {
	w := newHarness(t, e)
	for _, forwarded := range []string{"", "unknown", "127.0.0.9"} {
		headers := maps.Clone(slashKey)
		if forwarded != "" {
			headers["X-Forwarded-For"] = forwarded
		}
		if res := w.do(w.mine, "PUT", "/persons/{{person}}/consent/gdpr", headers,
			`{"consent_levels":["retargeting"]}`); res.Status != 200 {
			t.Errorf("%q: %v", forwarded, res)
		}
	}
	res := w.do(w.mine, "GET", concordOrg+"/consent-events?limit=1000", concordKey, "")
	if text := string(res.Body); !strings.Contains(text, "retargeting") || strings.Contains(text, "127.0.0") {
		t.Errorf("a proxy's address is kept as a person's, or nothing is: %v", res)
	}
}
