package native

import (
	"encoding/base64"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

var queryRules = protocol.QueryRules{
	Malformed: "the query is not valid percent-encoding",
	Range:     "must be one whole number from %d to %d",
	Prefix:    inQuery,
}

// page is the part of a list that a query asks for: what comes after an id.
type page struct {
	after consent.ID
	limit int
}

// cursors are opaque to clients: the last id of the page before.
var cursors = base64.RawURLEncoding.Strict()

// pageOf reads ?limit= and ?cursor=. Errors: Invalid, with the parameter.
func pageOf(rawQuery string) (page, error) {
	q := queryRules.ParseQuery(rawQuery)
	p := page{
		limit: q.Number(service.DefaultPage, 1, service.MaxPage, "limit"),
		after: protocol.Parsed(q, consent.NoID, parseCursor, "cursor"),
	}
	return p, q.Err
}

func cursorOf(last consent.ID) string { return cursors.EncodeToString(last[:]) }

// parseCursor reads what cursorOf wrote, and nothing else.
func parseCursor(s string) (id consent.ID, err error) {
	b, err := cursors.DecodeString(s)
	if err == nil && len(b) == len(id) && cursors.EncodeToString(b) == s {
		id = consent.ID(b)
	}
	if id == consent.NoID {
		return id, consent.Errorf(consent.Invalid, "", "must be the nextCursor of a page before")
	}
	return id, nil
}
