package geo

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

func newPlaces(t testing.TB, opts Options) *Places {
	t.Helper()
	p, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestCountry(t *testing.T) {
	p := newPlaces(t, Options{})
	for addr, want := range map[string]string{
		"8.8.8.8":                     "US",
		"185.166.140.232":             "NL", // the example of Consent Hub's documentation
		"193.0.6.139":                 "NL",
		"194.25.0.60":                 "DE",
		"212.58.244.1":                "GB",
		"202.12.29.175":               "AU",
		"200.160.2.3":                 "BR",
		"133.11.0.1":                  "JP",
		"41.231.21.1":                 "TN",
		"2001:4860:4860::8888":        "US",
		"2001:67c:2e8:22::c100:68b":   "NL",
		"2a00:1450:4001:800::200e":    "IE",
		"2001:418:1439::29f":          "US", // a single address of another
		"2001:418:1439::2a0":          "CA", // country within a /64
		"2001:418:1439::2a1":          "US",
		"::ffff:8.8.8.8":              "US",
		"::ffff:8.8.8.8%eth0":         "US",
		"2001:4860:4860::8888%eth0":   "US",
		"4000::":                      consent.UnknownCountry,
		"2002:808:808::1":             consent.UnknownCountry, // 6to4
		"64:ff9b::808:808":            consent.UnknownCountry, // NAT64
		"0000:0000:0000::0808:0808":   consent.UnknownCountry, // not the mapped form
		"ff02::1":                     consent.UnknownCountry,
		"fe80::1%eth0":                consent.UnknownCountry,
		"::ffff:192.168.1.1":          consent.UnknownCountry,
		"2001:db8:85a3::8a2e:370:734": consent.UnknownCountry, // the source says JP
	} {
		if got := p.Country(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Country(%s) = %s, want %s", addr, got, want)
		}
	}
	if got := p.Country(netip.Addr{}); got != consent.UnknownCountry {
		t.Errorf("Country(zero) = %s", got)
	}
}

// The file answers for every address, so that only the addresses themselves can make it say unknown.
func TestNobodysAddresses(t *testing.T) {
	p := newPlaces(t, Options{MMDB: writeMMDB(t, map[string]any{
		"0.0.0.0/1": flat("US"), "128.0.0.0/1": flat("US"),
		"100::/8": flat("US"), "2000::/3": flat("US"), "8000::/1": flat("US"),
	})})
	for addr, public := range map[string]bool{
		"0.0.0.0": false, "0.255.255.255": false, "1.0.0.0": true,
		"9.255.255.255": true, "10.0.0.0": false, "10.255.255.255": false, "11.0.0.0": true,
		"100.63.255.255": true, "100.64.0.0": false, "100.127.255.255": false, "100.128.0.0": true,
		"126.255.255.255": true, "127.0.0.1": false, "127.255.255.255": false, "128.0.0.0": true,
		"169.253.255.255": true, "169.254.0.0": false, "169.254.255.255": false, "169.255.0.0": true,
		"172.15.255.255": true, "172.16.0.0": false, "172.31.255.255": false, "172.32.0.0": true,
		"192.0.0.255": false, "192.0.1.0": true, "192.0.2.0": false, "192.0.2.255": false, "192.0.3.0": true,
		"192.167.255.255": true, "192.168.0.0": false, "192.168.255.255": false, "192.169.0.0": true,
		"198.17.255.255": true, "198.18.0.0": false, "198.19.255.255": false, "198.20.0.0": true,
		"198.51.99.255": true, "198.51.100.0": false, "198.51.101.0": true,
		"203.0.112.255": true, "203.0.113.0": false, "203.0.114.0": true,
		"223.255.255.255": true, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "100::1": false, "1fff::": false, "2000::": true,
		"2001:1ff::": false, "2001:200::": true, "2001:db8::": false, "2001:db9::": true,
		"3ffe:ffff::": true, "3fff::": false, "3fff:fff:ffff::": false, "3fff:1000::": true,
		"fc00::1": false, "fdff::1": false, "fe80::1": false, "fec0::1": false, "ff0e::1": false,
	} {
		want := consent.UnknownCountry
		if public {
			want = "US"
		}
		if got := p.Country(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Country(%s) = %s, want %s", addr, got, want)
		}
	}
}

// allCountries are the codes that consent.CountryCode knows, sorted.
func allCountries() []string {
	var codes []string
	for i := range 26 * 26 {
		if code := string([]byte{'A' + byte(i/26), 'A' + byte(i%26)}); consent.CountryCode(code) == code {
			codes = append(codes, code)
		}
	}
	return codes
}

// What the embedded table says must be countries, and the source holds at least these many.
func TestEmbeddedCodes(t *testing.T) {
	table, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	if codes := table.Codes(); !slices.Equal(codes, allCountries()) {
		t.Errorf("the table has %d countries of %d", len(codes), len(allCountries()))
	}
	last, n := netip.Addr{}, 0
	for addr, code := range table.All() {
		if n++; !last.Less(addr) && last.IsValid() {
			t.Fatalf("%s does not come after %s", addr, last)
		}
		if last = addr; code != "" && consent.CountryCode(code) != code {
			t.Fatalf("%s is in %q", addr, code)
		}
	}
	if n < 500_000 {
		t.Errorf("the table has %d ranges only", n)
	}
}

func flat(code string) map[string]any { return map[string]any{"country_code": code} }

func nested(field, code string) map[string]any {
	return map[string]any{field: map[string]any{"iso_code": code}}
}

func TestMMDB(t *testing.T) {
	both := nested("country", "FR")
	both["registered_country"] = map[string]any{"iso_code": "US"}
	p := newPlaces(t, Options{MMDB: writeMMDB(t, map[string]any{
		"1.0.0.0/24":             nested("country", "DE"),
		"1.0.1.0/24":             flat("NL"),
		"1.0.2.0/24":             nested("registered_country", "SE"),
		"1.0.3.0/24":             both,
		"1.0.4.0/24":             flat("it"),
		"1.0.5.0/24":             flat("EU"),
		"1.0.6.0/24":             flat("-"),
		"1.0.7.0/24":             map[string]any{"country": "United States", "country_code": "US"},
		"1.0.8.0/24":             map[string]any{},
		"1.0.9.0/24":             map[string]any{"country_code": 7},
		"1.0.10.0/24":            flat("UK"),
		"1.0.11.0/24":            nested("country", "el"),
		"1.0.12.0/24":            flat("GB"),
		"8.8.8.8/32":             flat("CH"),
		"2001:4860::/32":         flat("AT"),
		"2a00:0:0:1:8000::/65":   flat("PL"),
		"2a00:0:0:2::/128":       flat("PT"),
		"2a00:0:0:2:ffff::/80":   flat("LV"),
		"2a00:0:0:2:fffe:1::/96": flat("LT"),
		"2a00:0:0:3::/64":        flat("LU"),
	})})
	for addr, want := range map[string]string{
		"1.0.0.0": "DE", "1.0.0.255": "DE", "1.0.1.0": "NL", "1.0.2.1": "SE", "1.0.3.1": "FR", "1.0.4.1": "IT",
		"1.0.5.1": consent.UnknownCountry, "1.0.6.1": consent.UnknownCountry, "1.0.7.1": "US",
		"1.0.8.1": consent.UnknownCountry, "1.0.9.1": consent.UnknownCountry,
		"1.0.10.1": "GB", "1.0.11.1": "GR", "1.0.12.1": "GB",
		"0.255.255.255": consent.UnknownCountry,
		"8.8.8.7":       consent.UnknownCountry, "8.8.8.8": "CH", "8.8.8.9": consent.UnknownCountry,
		"2001:4860:4860::8888": "AT", "2001:485f:ffff::": consent.UnknownCountry, "2001:4861::": consent.UnknownCountry,
		"2a00:0:0:1:7fff:ffff:ffff:ffff": consent.UnknownCountry, "2a00:0:0:1:8000::": "PL",
		"2a00:0:0:1:ffff:ffff:ffff:ffff": "PL", "2a00:0:0:2::": "PT", "2a00:0:0:2::1": consent.UnknownCountry,
		"2a00:0:0:2:ffff::1": "LV", "2a00:0:0:2:fffe:1::1": "LT", "2a00:0:0:3::1": "LU", "2a00:0:0:4::": consent.UnknownCountry,
		"::ffff:1.0.1.77": "NL", "185.166.140.232": consent.UnknownCountry,
	} {
		if got := p.Country(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Country(%s) = %s, want %s", addr, got, want)
		}
	}
}

func TestMMDBThatIsNone(t *testing.T) {
	good, err := os.ReadFile(writeMMDB(t, map[string]any{"1.0.0.0/24": flat("DE")}))
	if err != nil {
		t.Fatal(err)
	}
	badPointer := append([]byte{}, good...)
	badPointer[0], badPointer[1], badPointer[2] = 0xff, 0xff, 0xff
	for name, c := range map[string]struct{ path, want string }{
		"missing":     {filepath.Join(t.TempDir(), "none.mmdb"), "is not there"},
		"a folder":    {t.TempDir(), "cannot be read"},
		"empty":       {writeFile(t, nil), "cannot be read"},
		"not an mmdb": {writeFile(t, []byte("PK\x03\x04 surely a zip")), "cannot be read"},
		"cut":         {writeFile(t, good[:len(good)/2]), "cannot be read"},
		"broken":      {writeFile(t, badPointer), "is broken"},
		"AS numbers": {writeMMDB(t, map[string]any{"1.0.0.0/24": map[string]any{"asn": 13335}}),
			"no network in it has a country"},
	} {
		_, err := New(Options{MMDB: c.path})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v; want %q and the path", name, err, c.want)
		}
	}
}

func FuzzCountry(f *testing.F) {
	for _, s := range []string{"8.8.8.8", "::1", "2001:418:1439::2a0", "fe80::1%eth0", "::ffff:1.2.3.4%1",
		"255.255.255.255"} {
		addr := netip.MustParseAddr(s)
		f.Add(addr.AsSlice(), addr.Zone())
	}
	f.Add([]byte{1}, "")
	p := newPlaces(f, Options{})
	f.Fuzz(func(t *testing.T, b []byte, zone string) {
		addr, _ := netip.AddrFromSlice(b)
		code := p.Country(addr.WithZone(zone))
		if consent.CountryCode(code) != code {
			t.Errorf("Country(%s) = %q", addr, code)
		}
		if plain := p.Country(addr); plain != code {
			t.Errorf("Country(%s) = %s, with zone %q %s", addr, plain, zone, code)
		}
		p.Regime(string(b))
	})
}
