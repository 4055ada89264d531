package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/consentd/consentd/internal/geo/table"
)

// verify unpacks the table as the server will and compares it with the source wherever either of
// them can change: at the first and last address of every network of the source, those without
// a country included, and at the start of every range of the table. Two lists of ranges that agree
// there agree everywhere.
func verify(reader *maxminddb.Reader, packed []byte) error {
	encoded, err := table.Unpack(packed)
	if err != nil {
		return err
	}
	t, err := table.Decode(encoded)
	if err != nil {
		return err
	}
	networks, ranges := 0, 0
	for network := range reader.Networks(maxminddb.IncludeNetworksWithoutData()) {
		networks++
		prefix := network.Prefix()
		for _, addr := range []netip.Addr{prefix.Masked().Addr(), last(prefix)} {
			if err := compare(network, addr, t.Code(addr)); err != nil {
				return err
			}
		}
	}
	for addr, code := range t.All() {
		ranges++
		if addr.Is6() && reader.Metadata.IPVersion == 4 {
			continue
		}
		if err := compare(reader.Lookup(addr), addr, code); err != nil {
			return err
		}
	}
	fmt.Printf("%d networks, %d ranges, %d codes: the table agrees with its source\n", networks, ranges, len(t.Codes()))
	return nil
}

// compare reads the source by other means than package table does.
func compare(network maxminddb.Result, addr netip.Addr, got string) error {
	var want string
	if err := network.DecodePath(&want, "country_code"); err != nil {
		return fmt.Errorf("%s: %w", addr, err)
	}
	if want = strings.ToUpper(want); got != want {
		return fmt.Errorf("%s is %q, the source says %q", addr, got, want)
	}
	return nil
}

func last(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}
