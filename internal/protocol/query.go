package protocol

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// QueryRules say how a protocol reads the parameters of a query, and in which words it refuses them.
type QueryRules struct {
	Malformed string // the query is not valid percent-encoding
	Repeated  string // several values, where one may be given; empty: what the parameter's parser says of ""
	Range     string // a format: the least and the most that a number may be
	Prefix    string // goes before the parameter in an error's Field
	Signed    bool   // a number may have a sign
	SameTwice bool   // equal values of a parameter that may be given once count as one
	// Values gives the values of a parameter that count, or refuses them. Nil: all count.
	Values func(given []string) ([]string, error)
}

// Query reads the parameters of a query. It keeps the first mistake, so that a filter reads as one expression.
// A parameter that has several names is asked for by all of them. What nobody asks for is passed over.
type Query struct {
	Values url.Values
	Err    error // Invalid, with the parameter
	rules  *QueryRules
}

// ParseQuery parses a raw query. A mistake is in Err.
func (r *QueryRules) ParseQuery(raw string) *Query {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return &Query{Values: url.Values{}, Err: &consent.Error{Kind: consent.Invalid, Msg: r.Malformed}, rules: r}
	}
	return &Query{Values: values, rules: r}
}

// Fail notes a mistake in a parameter, where it is the first.
func (q *Query) Fail(err error, names ...string) {
	if q.Err == nil {
		q.Err = At(q.rules.Prefix+strings.Join(names, ", "), err)
	}
}

// All gives the values of a parameter that may repeat.
func (q *Query) All(names ...string) []string {
	var given []string
	for _, name := range names {
		given = append(given, q.Values[name]...)
	}
	if q.rules.Values == nil {
		return given
	}
	given, err := q.rules.Values(given)
	if err != nil {
		q.Fail(err, names...)
	}
	return given
}

// One gives the value of a parameter that may be given once; empty where it is absent.
func (q *Query) One(names ...string) string {
	value, _ := q.one(names)
	return value
}

func (q *Query) one(names []string) (value string, given bool) {
	all := q.All(names...)
	if q.rules.SameTwice {
		all = slices.Compact(all)
	}
	switch {
	case len(all) == 0:
		return "", false
	case len(all) == 1:
		return all[0], true
	case q.rules.Repeated == "":
		return "", true
	}
	q.Fail(&consent.Error{Kind: consent.Invalid, Msg: q.rules.Repeated}, names...)
	return "", false
}

// Number gives a whole number from least to most, or otherwise where there is none. What is too large for an int
// counts as the largest.
func (q *Query) Number(otherwise, least, most int, names ...string) int {
	return Parsed(q, otherwise, func(given string) (int, error) {
		n, err := strconv.Atoi(given)
		isNumber := err == nil || errors.Is(err, strconv.ErrRange) // which comes before all digits were looked at
		if !isNumber || n < least || n > most || !q.rules.Signed && strings.ContainsFunc(given, notDigit) {
			return 0, consent.Errorf(consent.Invalid, "", q.rules.Range, least, most)
		}
		return n, nil
	}, names...)
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

// Parsed gives what a parser makes of a parameter that may be given once, or otherwise where it is absent.
func Parsed[T any, V string | []byte](q *Query, otherwise T, parse func(V) (T, error), names ...string) T {
	given, ok := q.one(names)
	if !ok {
		return otherwise
	}
	value, err := parse(V(given))
	if err != nil {
		q.Fail(err, names...)
	}
	return value
}

// Each gives what a parser makes of each value of a parameter that may repeat; nil where one is refused.
func Each[T any, V string | []byte](q *Query, parse func(V) (T, error), names ...string) []T {
	var out []T
	for _, given := range q.All(names...) {
		value, err := parse(V(given))
		if err != nil {
			q.Fail(err, names...)
			return nil
		}
		out = append(out, value)
	}
	return out
}

// Choice makes a parser of words; msg says of any other which there are.
func Choice[T any](msg string, words map[string]T) func(string) (T, error) {
	return func(given string) (T, error) {
		value, ok := words[given]
		if !ok {
			return value, &consent.Error{Kind: consent.Invalid, Msg: msg}
		}
		return value, nil
	}
}

// At names the place of a mistake that a parser found. err is not nil.
func At(field string, err error) error {
	e := *consent.AsError(err)
	e.Field = field
	return &e
}
