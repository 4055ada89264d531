package table

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// ErrNoCountry says that a file is in order but tells no country, as one of AS numbers does.
var ErrNoCountry = errors.New("no network in it has a country")

// fields are where a country stands in a record, best first: as MaxMind and DB-IP write it,
// as ip-location-db and IPinfo do, and where MaxMind knows only who registered the network.
var fields = [][]string{
	{"country", "iso_code"},
	{"country_code"},
	{"registered_country", "iso_code"},
}

// FromMMDB reads every network of an .mmdb file. The reader may be closed afterwards.
func FromMMDB(reader *maxminddb.Reader) (*Table, error) {
	b := NewBuilder()
	seen := map[uintptr]string{} // few records serve many networks
	for network := range reader.Networks() {
		if err := network.Err(); err != nil {
			return nil, fmt.Errorf("walking the networks: %w", err)
		}
		code, ok := seen[network.Offset()]
		if !ok {
			var err error
			if code, err = country(network); err != nil {
				return nil, err
			}
			seen[network.Offset()] = code
		}
		if err := b.Add(network.Prefix(), code); err != nil {
			return nil, err
		}
	}
	if len(b.codes) == 1 {
		return nil, ErrNoCountry
	}
	return b.Table(), nil
}

// country reads the code out of one record, or "" where it has none of two letters.
func country(network maxminddb.Result) (string, error) {
	var record any
	if err := network.Decode(&record); err != nil {
		return "", fmt.Errorf("reading the record of %s: %w", network.Prefix(), err)
	}
	for _, path := range fields {
		if code := strings.ToUpper(at(record, path)); twoLetters(code) {
			return code, nil
		}
	}
	return "", nil
}

func at(value any, path []string) string {
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	text, _ := value.(string)
	return text
}
