package concord

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

// maxFilterValues is the most values of one filter [ours].
const maxFilterValues = 100

// queryRules are those of all lists.
var queryRules = protocol.QueryRules{
	Malformed: "the query string is malformed",
	Repeated:  "may be given once",
	Range:     "must be a whole number from %d to %d",
	Signed:    true,
	Values:    filterValues,
}

// filterValues checks the values of a filter. An empty one counts as not given.
func filterValues(all []string) (given []string, err error) {
	for _, value := range all {
		if value == "" {
			continue
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return nil, invalid("", "must be UTF-8 without control characters")
		}
		given = append(given, value)
	}
	if len(given) > maxFilterValues {
		return nil, invalid("", "may be given "+strconv.Itoa(maxFilterValues)+" times at most")
	}
	return given, nil
}

// pageOf gives the part of a list that a query asks for.
func pageOf(q *protocol.Query) (offset, limit int) {
	return q.Number(0, 0, math.MaxInt32, "offset"), q.Number(service.DefaultPage, 1, service.MaxPage, "limit")
}

// convert gives the elements of a list another type of the same kind.
func convert[To, From any](list []From, to func(From) To) []To {
	var out []To
	for _, v := range list {
		out = append(out, to(v))
	}
	return out
}
