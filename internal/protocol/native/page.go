package native

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

var queryRules = protocol.QueryRules{
	Malformed: "the query is not valid percent-encoding",
	Repeated:  "may be given once",
	Range:     "must be one whole number from %d to %d",
	Prefix:    inQuery,
}

// query reads the call's query. A parameter that is none of those known is a mistake, so that a typo never widens a
// list in silence.
func query(c *protocol.Call, known ...string) *protocol.Query {
	q := queryRules.ParseQuery(c.Request.URL.RawQuery)
	for _, name := range slices.Sorted(maps.Keys(q.Values)) {
		if slices.Contains(known, name) {
			continue
		}
		shown := name
		if len(name) > 32 || strings.ContainsFunc(name, notInParameter) {
			shown = "" // what a client made up is not repeated
		}
		q.Fail(consent.Errorf(consent.Invalid, "", "is not a parameter of this call, which takes %s",
			cmp.Or(consent.Listed(known), "none")), shown)
	}
	return q
}

func notInParameter(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
}

// The parameters of every list.
const (
	limitParameter  = "limit"
	cursorParameter = "cursor"
)

// page is the part of a list that a query asks for.
type page struct {
	after []byte // where the page before ended, as cursor was told; nil: from the beginning
	limit int
}

// page reads the limit and the cursor of a list's query. A mistake is in q.Err or, where the secret cannot be read, in
// err.
func (a *api) page(c *protocol.Call, q *protocol.Query) (p page, err error) {
	p.limit = q.Number(service.DefaultPage, 1, service.MaxPage, limitParameter)
	given := q.One(cursorParameter)
	if len(q.Values[cursorParameter]) == 0 || q.Err != nil {
		return p, q.Err
	}
	key, err := a.cursors.key(c.Request.Context())
	if err != nil {
		return p, err
	}
	if p.after = openCursor(key, listOf(c, q.Values), given); p.after == nil {
		q.Fail(consent.Errorf(consent.Invalid, "", "must be the nextCursor of a page before, of the same list and filter"),
			cursorParameter)
	}
	return p, q.Err
}

// nextCursor gives the cursor of the page that begins behind what after says, which must not be empty nor personal.
func (a *api) nextCursor(c *protocol.Call, after []byte) (string, error) {
	key, err := a.cursors.key(c.Request.Context())
	if err != nil {
		return "", err
	}
	values, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return "", err
	}
	return sealCursor(key, listOf(c, values), after), nil
}

// afterID reads a cursor that an id is in; NoID: from the beginning.
func (p page) afterID() consent.ID {
	var id consent.ID
	copy(id[:], p.after)
	return id
}

// cutPage cuts what was read to a page, of which one item more than the limit was asked for, and gives the cursor of
// the next page; "" where there is none.
func cutPage[T any](a *api, c *protocol.Call, p page, items []T, id func(*T) consent.ID) ([]T, string, error) {
	if len(items) <= p.limit {
		return items, "", nil
	}
	items = items[:p.limit]
	last := id(&items[p.limit-1])
	next, err := a.nextCursor(c, last[:])
	return items, next, err
}

// listOf says which list a cursor is of: its path, which names the organization, and its filter.
func listOf(c *protocol.Call, query url.Values) string {
	filter := maps.Clone(query)
	delete(filter, limitParameter)
	delete(filter, cursorParameter)
	return c.Request.URL.EscapedPath() + "?" + filter.Encode()
}

// cursors are opaque to clients: where the page before ended, behind a MAC of it and of the list. So a cursor of
// another list, another filter or another organization opens nothing.
type cursors struct {
	secret func(ctx context.Context, name string, size int) ([]byte, error)
	read   atomic.Pointer[[]byte]
}

// key gives the key of the MACs: a secret of the instance, the same for all servers over one database.
func (k *cursors) key(ctx context.Context) ([]byte, error) {
	if key := k.read.Load(); key != nil {
		return *key, nil
	}
	key, err := k.secret(ctx, "native_cursor", sha256.Size)
	if err == nil {
		k.read.Store(&key)
	}
	return key, err
}

const (
	macSize   = 16
	maxCursor = 512 // characters
)

var cursorText = base64.RawURLEncoding.Strict()

func macOf(key []byte, list string, after []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(list))
	h.Write([]byte{0})
	h.Write(after)
	return h.Sum(nil)[:macSize]
}

func sealCursor(key []byte, list string, after []byte) string {
	return cursorText.EncodeToString(append(macOf(key, list, after), after...))
}

// openCursor gives what sealCursor was told, or nil where it did not make the cursor of this list.
func openCursor(key []byte, list, given string) []byte {
	if len(given) > maxCursor {
		return nil
	}
	b, err := cursorText.DecodeString(given)
	if err != nil || len(b) <= macSize || cursorText.EncodeToString(b) != given {
		return nil
	}
	if after := b[macSize:]; hmac.Equal(b[:macSize], macOf(key, list, after)) {
		return after
	}
	return nil
}
