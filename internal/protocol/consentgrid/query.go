package consentgrid

import (
	"cmp"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// Limits of a list; the page sizes are the vendor's (subjects_list).
const (
	defaultMax = 100
	maxMax     = 200
	maxText    = 256 // bytes
)

var queryRules = protocol.QueryRules{
	Malformed: "the query is not valid percent-encoding",
	Repeated:  "was given twice, with different values",
	Range:     "must be a whole number from %[1]d",
	SameTwice: true,
}

var parseSaveMode = protocol.Choice("must be merge or rewrite",
	map[string]consent.SaveMode{"merge": consent.Merge, "rewrite": consent.Rewrite})

// saveModeOf reads ?saveOption=. Errors: Invalid.
func saveModeOf(rawQuery string) (consent.SaveMode, error) {
	q := queryRules.ParseQuery(rawQuery)
	return protocol.Parsed(q, consent.Merge, parseSaveMode, "saveOption"), q.Err
}

// versionOf reads ?version=; 0 where it is absent. Errors: Invalid.
func versionOf(rawQuery string) (int, error) {
	q := queryRules.ParseQuery(rawQuery)
	return count(q, 0, 1, "version"), q.Err
}

// filterOf reads the query of a list. Errors: Invalid, with the parameter.
func filterOf(rawQuery string) (consent.SubjectFilter, error) {
	q := queryRules.ParseQuery(rawQuery)
	for name := range q.Values {
		if strings.Contains(name, ".") { // the vendor's string.field=, number.field= and the like
			q.Fail(consent.Errorf(consent.Invalid, "", "searching by a field of the data is not supported; use text"))
		}
	}
	filter := consent.SubjectFilter{
		Type:   cmp.Or(q.One("type"), consent.DefaultSubjectType),
		Name:   protocol.Parsed(q, "", parseID, "id"),
		Text:   protocol.Parsed(q, "", parseText, "text"),
		Offset: count(q, 0, 0, "from", "offset"),
		Limit:  min(count(q, defaultMax, 1, "max", "limit"), maxMax),
	}
	return filter, q.Err
}

// count gives a whole number, at least least; what is too big to count is the biggest there is.
func count(q *protocol.Query, otherwise, least int, names ...string) int {
	return min(q.Number(otherwise, least, math.MaxInt, names...), math.MaxInt32)
}

// parseID reads the id to look for; an empty one is none.
func parseID(id string) (string, error) {
	if id == "" {
		return "", nil
	}
	return normalID(id)
}

// parseText reads the text to look for; an empty one is none.
func parseText(text string) (string, error) {
	switch {
	case len(text) > maxText:
		return "", consent.Errorf(consent.Invalid, "", "must have %d bytes at most", maxText)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return "", consent.Errorf(consent.Invalid, "", "must be valid UTF-8 without control characters")
	}
	return text, nil
}
