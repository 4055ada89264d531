package concord

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// maxFilterValues is the most values of one filter [ours].
const maxFilterValues = 100

// query reads the parameters of a list. It keeps the first mistake, so that a list's
// filter reads as one expression; what it does not know is passed over, and an
// empty value counts as not given.
type query struct {
	values url.Values
	err    error
}

func parseQuery(raw string) *query {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return &query{err: invalid("", "the query string is malformed")}
	}
	return &query{values: values}
}

func (q *query) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// all gives the values of a filter that may repeat.
func (q *query) all(name string) []string {
	var given []string
	for _, value := range q.values[name] {
		if value == "" {
			continue
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			q.fail(invalid(name, "must be UTF-8 without control characters"))
			return nil
		}
		given = append(given, value)
	}
	if len(given) > maxFilterValues {
		q.fail(invalid(name, "may be given "+strconv.Itoa(maxFilterValues)+" times at most"))
		return nil
	}
	return given
}

// one gives the value of a parameter that may not repeat.
func (q *query) one(name string) string {
	given := q.all(name)
	if len(given) > 1 {
		q.fail(invalid(name, "may be given once"))
	}
	if len(given) == 0 {
		return ""
	}
	return given[0]
}

// number gives a whole number, or otherwise where there is none.
func (q *query) number(name string, least, most, otherwise int) int {
	given := q.one(name)
	if given == "" {
		return otherwise
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < least || n > most {
		q.fail(invalid(name, "must be a whole number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most)))
	}
	return n
}

func (q *query) offset() int { return q.number("offset", 0, math.MaxInt32, 0) }
func (q *query) limit() int  { return q.number("limit", 1, service.MaxPage, service.DefaultPage) }

// choice tells whether the second of two words is given; the first is the default.
func (q *query) choice(name, first, second string) bool {
	given := q.one(name)
	if given != "" {
		if err := oneOf(name, given, first, second); err != nil {
			q.fail(err)
		}
	}
	return given == second
}

func (q *query) instant(name string) instant {
	given := q.one(name)
	if given == "" {
		return instant{}
	}
	t, err := parseInstant([]byte(given))
	if err != nil {
		q.fail(inField(name, err))
	}
	return t
}

// each parses the values of a filter.
func each[T any](q *query, name string, parse func([]byte) (T, error)) []T {
	var out []T
	for _, given := range q.all(name) {
		value, err := parse([]byte(given))
		if err != nil {
			q.fail(inField(name, err))
			return nil
		}
		out = append(out, value)
	}
	return out
}

// inField names the place of a mistake that a parser found.
func inField(field string, err error) error {
	e := consent.AsError(err)
	return &consent.Error{Kind: e.Kind, Field: field, Msg: e.Msg}
}

// convert gives the elements of a list another type of the same kind.
func convert[To, From any](list []From, to func(From) To) []To {
	var out []To
	for _, v := range list {
		out = append(out, to(v))
	}
	return out
}
