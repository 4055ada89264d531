package consent

import (
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// How much a client may note of a decision.
const (
	maxMetadata       = 20
	maxMetadataMember = 256 // bytes of a name, and of a value as text
)

// Metadata is what a client notes of a decision: flat, values are strings, bools and float64 that ParseNumber gave.
type Metadata map[string]any

// check refuses what is more, or something else, than is kept. Errors: Invalid.
func (m Metadata) check() error {
	const noun = "metadata"
	if len(m) > maxMetadata {
		return Errorf(Invalid, noun, "may have %d members at most", maxMetadata)
	}
	for _, name := range sortedNames(m) {
		if name == "" || len(name) > maxMetadataMember || !utf8.ValidString(name) {
			return Errorf(Invalid, noun, "must have names of 1 to %d bytes of UTF-8", maxMetadataMember)
		}
		switch v := m[name].(type) {
		case bool:
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return errNumber
			}
		case string:
			if len(v) > maxMetadataMember || !utf8.ValidString(v) {
				return Errorf(Invalid, noun, "must have values of %d bytes of UTF-8 at most", maxMetadataMember)
			}
		default:
			return Errorf(Invalid, noun, "must be flat: its values are strings, numbers, true and false")
		}
	}
	return nil
}

// JSON gives the canonical JSON; nil where there is none.
func (m Metadata) JSON() []byte {
	if len(m) == 0 {
		return nil
	}
	return m.append(nil)
}

// append appends the canonical JSON.
func (m Metadata) append(b []byte) []byte {
	b = append(b, '{')
	for _, name := range sortedNames(m) {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		switch v := m[name].(type) {
		case string:
			b = appendString(b, v)
		case bool:
			b = strconv.AppendBool(b, v)
		case float64:
			b = appendNumber(b, v)
		}
	}
	return append(b, '}')
}

// sortedNames gives the names of an object in the order of RFC 8785, section 3.2.3: by UTF-16 code units.
func sortedNames[T any](object map[string]T) []string {
	return slices.SortedFunc(maps.Keys(object), func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
}

// appendNumber appends a number as ECMAScript writes it (RFC 8785, section 3.2.2.3). It is finite.
func appendNumber(b []byte, n float64) []byte {
	if n == 0 {
		return append(b, '0') // also -0
	}
	text, err := json.Marshal(n) // which writes numbers so
	if err != nil {
		panic(err)
	}
	return append(b, text...)
}

var errNumber = &Error{Kind: Invalid, Field: "metadata",
	Msg: "has a number that a double (IEEE 754) does not hold exactly; send it as a string"}

// ParseNumber reads a number as JSON writes it. One that would not come back with the same value is Invalid.
func ParseNumber(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || len(text) > maxMetadataMember {
		return 0, errNumber
	}
	if n == 0 && strings.ContainsAny(strings.SplitN(strings.ToLower(text), "e", 2)[0], "123456789") {
		return 0, errNumber // too small, and its exponent too large to calculate with
	}
	if n == 0 {
		return 0, nil
	}
	given, ok := new(big.Rat).SetString(text)
	kept, _ := new(big.Rat).SetString(string(appendNumber(nil, n)))
	if !ok || given.Cmp(kept) != 0 {
		return 0, errNumber
	}
	return n, nil
}
