package geo

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// The addresses are spread over the whole table, so that the benchmark pays for the memory it touches.
func randomAddrs(v4 bool) []netip.Addr {
	random := rand.New(rand.NewPCG(1, 2))
	addrs := make([]netip.Addr, 1<<16)
	for i := range addrs {
		if v4 {
			addrs[i] = netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, random.Uint32())))
			continue
		}
		b := binary.BigEndian.AppendUint64(nil, 0x2000<<48|random.Uint64N(0x0d00<<48))
		addrs[i] = netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(b, random.Uint64())))
	}
	return addrs
}

func BenchmarkCountry(b *testing.B) {
	p := newPlaces(b, Options{})
	for name, addrs := range map[string][]netip.Addr{
		"v4one":    {netip.MustParseAddr("185.166.140.232")},
		"v6one":    {netip.MustParseAddr("2001:4860:4860::8888")},
		"v4spread": randomAddrs(true),
		"v6spread": randomAddrs(false),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p.Country(addrs[i%len(addrs)])
			}
		})
	}
}

// BenchmarkUnpack is the cost of the first New; later ones share the table.
func BenchmarkUnpack(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unpack(packed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
