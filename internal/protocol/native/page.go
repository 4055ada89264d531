package native

import (
	"encoding/base64"
	"net/url"
	"strconv"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// page is the part of a list that a query asks for: what comes after an id.
type page struct {
	after consent.ID
	limit int
}

// cursors are opaque to clients: the last id of the page before.
var cursors = base64.RawURLEncoding.Strict()

// pageOf reads ?limit= and ?cursor=. Errors: Invalid, with the parameter.
func pageOf(rawQuery string) (page, error) {
	p := page{limit: service.DefaultPage}
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return p, consent.Errorf(consent.Invalid, "", "the query is not valid percent-encoding")
	}
	if given, ok := q["limit"]; ok {
		n, err := strconv.ParseUint(given[0], 10, 16)
		if err != nil || n < 1 || n > service.MaxPage || len(given) > 1 {
			return p, consent.Errorf(consent.Invalid, inQuery+"limit", "must be one whole number from 1 to %d", service.MaxPage)
		}
		p.limit = int(n)
	}
	if given, ok := q["cursor"]; ok {
		after, ok := parseCursor(given[0])
		if !ok || len(given) > 1 {
			return p, consent.Errorf(consent.Invalid, inQuery+"cursor", "must be the nextCursor of a page before")
		}
		p.after = after
	}
	return p, nil
}

func cursorOf(last consent.ID) string { return cursors.EncodeToString(last[:]) }

// parseCursor reads what cursorOf wrote, and nothing else.
func parseCursor(s string) (consent.ID, bool) {
	b, err := cursors.DecodeString(s)
	if err != nil || len(b) != len(consent.NoID) || cursors.EncodeToString(b) != s {
		return consent.NoID, false
	}
	id := consent.ID(b)
	return id, id != consent.NoID
}
