package consentgrid

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/consentd/consentd/internal/consent"
)

// Limits of a list; the page sizes are the vendor's (subjects_list).
const (
	defaultMax = 100
	maxMax     = 200
	maxText    = 256 // bytes
)

// saveModeOf reads ?saveOption=. Errors: Invalid.
func saveModeOf(rawQuery string) (consent.SaveMode, error) {
	q, err := parseQuery(rawQuery)
	if err != nil {
		return 0, err
	}
	option, given, err := q.one("saveOption")
	switch {
	case err != nil:
		return 0, err
	case !given, option == "merge":
		return consent.Merge, nil
	case option == "rewrite":
		return consent.Rewrite, nil
	}
	return 0, consent.Errorf(consent.Invalid, "saveOption", "must be merge or rewrite")
}

// versionOf reads ?version=; 0 where it is absent. Errors: Invalid.
func versionOf(rawQuery string) (int, error) {
	q, err := parseQuery(rawQuery)
	if err != nil {
		return 0, err
	}
	return q.number(0, 1, "version")
}

// filterOf reads the query of a list. Errors: Invalid, with the parameter.
func filterOf(rawQuery string) (consent.SubjectFilter, error) {
	filter := consent.SubjectFilter{Type: consent.DefaultSubjectType}
	q, err := parseQuery(rawQuery)
	if err != nil {
		return filter, err
	}
	for name := range q {
		if strings.Contains(name, ".") { // the vendor's string.field=, number.field= and the like
			return filter, consent.Errorf(consent.Invalid, "", "searching by a field of the data is not supported; use text")
		}
	}
	if typ, _, err := q.one("type"); err != nil {
		return filter, err
	} else if typ != "" {
		filter.Type = typ
	}
	if filter.Name, err = q.id(); err != nil {
		return filter, err
	}
	if filter.Text, err = q.text(); err != nil {
		return filter, err
	}
	if filter.Offset, err = q.number(0, 0, "from", "offset"); err != nil {
		return filter, err
	}
	filter.Limit, err = q.number(defaultMax, 1, "max", "limit")
	filter.Limit = min(filter.Limit, maxMax)
	return filter, err
}

type query url.Values

func parseQuery(raw string) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, consent.Errorf(consent.Invalid, "", "the query is not valid percent-encoding")
	}
	return query(values), nil
}

// one gives the value of a parameter that may have several names; what was given
// more than once must be the same each time.
func (q query) one(names ...string) (value string, given bool, err error) {
	for _, name := range names {
		for _, v := range q[name] {
			if given && v != value {
				return "", true, consent.Errorf(consent.Invalid, strings.Join(names, ", "), "was given twice, with different values")
			}
			value, given = v, true
		}
	}
	return value, given, nil
}

// number gives a whole number, at least least; what is too big to count is the biggest there is.
func (q query) number(otherwise, least int, names ...string) (int, error) {
	value, given, err := q.one(names...)
	if err != nil || !given {
		return otherwise, err
	}
	bad := value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil { // digits all the same: out of range
		n = math.MaxInt32
	}
	if bad || n < int64(least) {
		return 0, consent.Errorf(consent.Invalid, strings.Join(names, ", "), "must be a whole number from %d", least)
	}
	return int(n), nil
}

// id gives the id to look for; empty where none was given.
func (q query) id() (string, error) {
	id, _, err := q.one("id")
	if err != nil || id == "" {
		return "", err
	}
	return normalID("id", id)
}

// text gives the text to look for; empty where none was given.
func (q query) text() (string, error) {
	text, _, err := q.one("text")
	switch {
	case err != nil:
		return "", err
	case len(text) > maxText:
		return "", consent.Errorf(consent.Invalid, "text", "must have %d bytes at most", maxText)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return "", consent.Errorf(consent.Invalid, "text", "must be valid UTF-8 without control characters")
	}
	return text, nil
}
