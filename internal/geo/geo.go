// Package geo tells where an IP address is and whether marketing needs a yes there first.
// It knows a table of addresses, embedded or the operator's own, and a dated table of law;
// it does not know whose address it is, and it asks nobody: no request leaves the machine.
package geo

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"sync"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo/table"
)

//go:generate go run ./gen

//go:embed table.bin
var packed []byte

var _ consent.Places = (*Places)(nil)

// Options are what an operator may choose.
type Options struct {
	// MMDB is the path of a country or city file in MaxMind's format, used instead of the
	// embedded table. New reads it whole; replacing the file later changes nothing until the next start.
	MMDB string
	// Regimes overrides the regime table, by a code that consent.CountryCode reads or consent.UnknownCountry.
	Regimes map[string]consent.Regime
}

// Places implements consent.Places.
type Places struct {
	table *table.Table
	rules map[string]*consent.Rule
}

// New reads the tables. The embedded one is unpacked once in the life of the process.
func New(opts Options) (*Places, error) {
	rules, err := newRules(opts.Regimes)
	if err != nil {
		return nil, err
	}
	load := embedded
	if opts.MMDB != "" {
		load = func() (*table.Table, error) { return openMMDB(opts.MMDB) }
	}
	t, err := load()
	if err != nil {
		return nil, err
	}
	return &Places{table: t, rules: rules}, nil
}

// Close has nothing to let go of: New keeps no file open.
func (p *Places) Close() error { return nil }

// Country implements consent.Places.
func (p *Places) Country(addr netip.Addr) string {
	addr = addr.Unmap()
	if !public(addr) {
		return consent.UnknownCountry
	}
	if code := p.table.Code(addr); code != "" {
		return code
	}
	return consent.UnknownCountry
}

var embedded = sync.OnceValues(func() (*table.Table, error) {
	t, err := unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("the embedded table of countries: %w", err)
	}
	return t, nil
})

func unpack(packed []byte) (*table.Table, error) {
	encoded, err := table.Unpack(packed)
	if err != nil {
		return nil, err
	}
	t, err := table.Decode(encoded)
	if err != nil {
		return nil, err
	}
	t.Rename(countryCode)
	return t, nil
}

// countryCode is how a table's code is kept: as consent.CountryCode gives it, and none as "".
func countryCode(given string) string {
	if code := consent.CountryCode(given); code != consent.UnknownCountry {
		return code
	}
	return ""
}

// openMMDB copies what the file says and closes it. A lookup then cannot fail, and a file that
// is truncated while it is mapped cannot take the server down.
func openMMDB(path string) (*table.Table, error) {
	const advice = "give the path of a country or city file in MaxMind's .mmdb format, or none to use the embedded table"
	reader, err := maxminddb.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("geo file %s is not there: %s", path, advice)
	}
	if err != nil {
		return nil, fmt.Errorf("geo file %s cannot be read: %w; %s", path, err, advice)
	}
	defer reader.Close()
	t, err := table.FromMMDB(reader)
	if errors.Is(err, table.ErrNoCountry) {
		return nil, fmt.Errorf("geo file %s is of type %q: %w; %s", path, reader.Metadata.DatabaseType, err, advice)
	}
	if err != nil {
		return nil, fmt.Errorf("geo file %s is broken: %w; download it again", path, err)
	}
	t.Rename(countryCode)
	return t, nil
}
