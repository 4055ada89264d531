package table

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func build(t testing.TB, networks ...string) *Table {
	t.Helper()
	b := NewBuilder()
	for _, network := range networks {
		cidr, code, _ := strings.Cut(network, " ")
		if err := b.Add(netip.MustParsePrefix(cidr), code); err != nil {
			t.Fatal(err)
		}
	}
	return b.Table()
}

func sample(t testing.TB) *Table {
	return build(t,
		"0.0.0.0/8 AA", "1.0.0.0/24 BB", "1.0.1.0/24 BB", "1.0.2.0/32 AA", "255.255.255.255/32 CC",
		"::/64 AA", "2000::/16 BB", "2001::/128 CC", "2001::1/128 DD", "2001:0:0:1::/65 AA",
		"2001:0:0:1:8000::/65 AA", "2001:0:0:2::/64 AA", "ffff:ffff:ffff:ffff:8000::/65 DD")
}

func TestCode(t *testing.T) {
	round, err := Decode(sample(t).Encode())
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]*Table{"built": sample(t), "decoded": round} {
		for addr, want := range map[string]string{
			"0.0.0.0": "AA", "0.255.255.255": "AA", "1.0.0.0": "BB", "1.0.1.255": "BB", "1.0.2.0": "AA", "1.0.2.1": "",
			"255.255.255.254": "", "255.255.255.255": "CC",
			"::": "AA", "0:0:0:0:ffff::": "AA", "0:0:0:1::": "", "1fff:ffff::": "", "2000::": "BB",
			"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "BB", "2001::": "CC", "2001::1": "DD", "2001::2": "",
			"2001::ffff:ffff:ffff:ffff": "", "2001:0:0:1::": "AA", "2001:0:0:1:8000::": "AA", "2001:0:0:2::": "AA", "2001:0:0:3::": "",
			"ffff:ffff:ffff:ffff:7fff:ffff:ffff:ffff": "", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "DD",
		} {
			if got := table.Code(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s: Code(%s) = %q, want %q", name, addr, got, want)
			}
		}
		if got := table.Code(netip.Addr{}); got != "" {
			t.Errorf("%s: Code(zero) = %q", name, got)
		}
	}
}

func TestRangesJoin(t *testing.T) {
	table := build(t, "1.0.0.0/24 AA", "1.0.1.0/24 AA", "1.0.2.0/24 BB", "1.0.4.0/24 BB", "1.0.5.0/24 ")
	var got []string
	for addr, code := range table.All() {
		if addr.Is4() {
			got = append(got, addr.String()+" "+code)
		}
	}
	want := []string{"0.0.0.0 ", "1.0.0.0 AA", "1.0.2.0 BB", "1.0.3.0 ", "1.0.4.0 BB", "1.0.5.0 "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEmpty(t *testing.T) {
	table, err := Decode(build(t).Encode())
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"0.0.0.0", "255.255.255.255", "::", "ffff::"} {
		if got := table.Code(netip.MustParseAddr(addr)); got != "" {
			t.Errorf("Code(%s) = %q", addr, got)
		}
	}
}

func TestRename(t *testing.T) {
	table := sample(t)
	before := maps.Collect(table.All())
	to := map[string]string{"AA": "", "BB": "CC", "CC": "CC", "DD": "DD"}
	table.Rename(func(code string) string { return to[code] })
	if got := table.Codes(); !slices.Equal(got, []string{"CC", "DD"}) {
		t.Errorf("codes %q", got)
	}
	for addr, code := range before {
		if got := table.Code(addr); got != to[code] {
			t.Errorf("Code(%s) = %q after %q", addr, got, code)
		}
	}
}

func TestAllMeetsCode(t *testing.T) {
	table := sample(t)
	for addr, code := range maps.Collect(table.All()) {
		if got := table.Code(addr); got != code {
			t.Errorf("Code(%s) = %q, All says %q", addr, got, code)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	for _, networks := range [][2]string{
		{"1.0.0.0/24", "1.0.0.0/24"}, {"1.0.0.0/24", "1.0.0.0/32"}, {"1.0.1.0/24", "1.0.0.0/24"},
		{"0.0.0.0/0", "0.0.0.0/32"}, {"::/0", "::/128"}, {"2001::/64", "2001::/65"}, {"2001::8/128", "2001::/64"},
		{"2001::8/128", "2001::/128"}, {"2001:0:0:1::/128", "2001::/128"},
	} {
		b := NewBuilder()
		if err := b.Add(netip.MustParsePrefix(networks[0]), "AA"); err != nil {
			t.Fatal(err)
		}
		if err := b.Add(netip.MustParsePrefix(networks[1]), "BB"); err == nil {
			t.Errorf("%s was taken after %s", networks[1], networks[0])
		}
	}
	for _, code := range []string{"a", "aa", "AAA", "A1", "É"} {
		if err := NewBuilder().Add(netip.MustParsePrefix("1.0.0.0/24"), code); err == nil {
			t.Errorf("code %q was taken", code)
		}
	}
	if err := NewBuilder().Add(netip.Prefix{}, "AA"); err == nil {
		t.Error("the zero prefix was taken")
	}
}

func TestTooManyCodes(t *testing.T) {
	b, n := NewBuilder(), 0
	for ; n < 300; n++ {
		code := string([]byte{'A' + byte(n/26), 'A' + byte(n%26)})
		if err := b.Add(netip.PrefixFrom(addr4(uint32(n)), 32), code); err != nil {
			break
		}
	}
	if n != split-1 {
		t.Fatalf("%d codes fit, want %d", n, split-1)
	}
	table, err := Decode(b.Table().Encode())
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Code(addr4(uint32(n - 1))); got != "JT" {
		t.Errorf("the last code is %q", got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := sample(t).Encode()
	for n := range good {
		if _, err := Decode(good[:n]); err == nil {
			t.Errorf("the first %d bytes of %d were taken", n, len(good))
		}
	}
	if _, err := Decode(append(good, 0)); err == nil {
		t.Error("a byte too much was taken")
	}
}

// What decodes must be usable, and have one form only.
func FuzzDecode(f *testing.F) {
	f.Add(sample(f).Encode())
	f.Add(build(f).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := Decode(data)
		if err != nil {
			return
		}
		for addr, code := range table.All() {
			if got := table.Code(addr); got != code {
				t.Errorf("Code(%s) = %q, All says %q", addr, got, code)
			}
		}
		again, err := Decode(table.Encode())
		if err != nil || !bytes.Equal(again.Encode(), table.Encode()) {
			t.Errorf("decoding again: %v", err)
		}
	})
}

func TestPack(t *testing.T) {
	encoded := sample(t).Encode()
	packed, err := Pack(encoded)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Unpack(packed)
	if err != nil || !bytes.Equal(got, encoded) {
		t.Errorf("unpacked to %d bytes of %d: %v", len(got), len(encoded), err)
	}
	if _, err := Unpack(packed[:len(packed)-4]); err == nil {
		t.Error("a cut file was taken")
	}
}
