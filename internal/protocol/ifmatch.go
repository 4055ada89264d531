package protocol

import (
	"strconv"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// ETag is the entity tag of a version of a record: strong, as a version never changes (RFC 9110, section 8.8.3).
func ETag(version int) string { return `"` + strconv.Itoa(version) + `"` }

// IfMatch reads the If-Match header (RFC 9110, section 13.1.1). Weak tags, and those that no ETag is, match nothing.
// Errors: Invalid.
func (c *Call) IfMatch() (consent.IfMatch, error) {
	lines := c.Request.Header["If-Match"]
	condition := consent.IfMatch{Given: len(lines) > 0}
	if !condition.Given {
		return condition, nil
	}
	list := strings.Join(lines, ",")
	if condition.Any = strings.Trim(list, " \t") == "*"; condition.Any {
		return condition, nil
	}
	found := false
	for list = skipEmpty(list); list != ""; list = skipEmpty(list) {
		tag, weak, rest, ok := cutTag(list)
		if !ok {
			return consent.IfMatch{}, errIfMatch
		}
		found, list = true, rest
		if version, err := strconv.Atoi(tag); err == nil && !weak && ETag(version) == `"`+tag+`"` {
			condition.Versions = append(condition.Versions, version)
		}
	}
	if !found {
		return consent.IfMatch{}, errIfMatch
	}
	return condition, nil
}

var errIfMatch = consent.Errorf(consent.Invalid, "If-Match", `must be * or a list of entity tags, such as "3"`)

// skipEmpty passes over white space and the empty elements of a list (RFC 9110, section 5.6.1.2).
func skipEmpty(list string) string { return strings.TrimLeft(list, ", \t") }

// cutTag cuts the entity tag off the front of a list (RFC 9110, section 8.8.3): a comma may be a part of it.
func cutTag(list string) (tag string, weak bool, rest string, ok bool) {
	list, weak = strings.CutPrefix(list, "W/")
	if list, ok = strings.CutPrefix(list, `"`); !ok {
		return "", weak, "", false
	}
	tag, rest, ok = strings.Cut(list, `"`)
	rest = strings.TrimLeft(rest, " \t")
	if rest != "" && rest[0] != ',' || strings.ContainsFunc(tag, notInTag) {
		return "", weak, "", false
	}
	return tag, weak, rest, ok
}

func notInTag(r rune) bool { return r <= ' ' || r == 0x7f }
