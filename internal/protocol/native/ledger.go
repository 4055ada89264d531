package native

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/service"
)

func (a *api) ledgerRoutes(access protocol.Access) []protocol.Route {
	const ofLedger = inOrganization + "/ledger"
	if a.ledgerPublic {
		access = openLedger(access)
	}
	return []protocol.Route{
		{Method: http.MethodGet, Pattern: ofLedger + "/checkpoint", Handle: access.Handle(a.getCheckpoint)},
		{Method: http.MethodGet, Pattern: ofLedger + "/keys", Handle: access.Handle(a.listLedgerKeys)},
		{Method: http.MethodGet, Pattern: ofLedger + "/proof", Handle: access.Handle(a.getProof)},
		{Method: http.MethodGet, Pattern: ofLedger + "/consistency", Handle: access.Handle(a.getConsistency)},
		{Method: http.MethodGet, Pattern: ofLedger + "/tile/*", Handle: access.Handle(a.getTile)},
	}
}

// openLedger lets anybody who shows no key read an organization's ledger.
func openLedger(access protocol.Access) protocol.Access {
	withKey := access
	access.Authenticate = func(ctx context.Context, key string) (consent.Actor, error) {
		if key == "" {
			return consent.Actor{}, nil
		}
		return withKey.Authenticate(ctx, key)
	}
	access.Organization = func(c *protocol.Call, actor consent.Actor) (consent.Actor, error) {
		if actor.Key != consent.NoID {
			return withKey.Organization(c, actor)
		}
		id, err := c.IDParam("organizationId")
		return service.LedgerReader(id), err
	}
	return access
}

// getCheckpoint answers GET {org}/ledger/checkpoint[?cosigned=true]: the newest signed note, or the newest that a
// witness has cosigned.
func (a *api) getCheckpoint(c *protocol.Call) error {
	q := query(c, "cosigned")
	cosigned := protocol.Parsed(q, false, parseBool, "cosigned")
	if q.Err != nil {
		return q.Err
	}
	var text []byte
	if cosigned {
		note, _, err := a.svc.CosignedCheckpoint(c.Request.Context(), c.Actor)
		if err != nil {
			return err
		}
		text = note
	} else {
		newest, err := a.svc.Checkpoint(c.Request.Context(), c.Actor)
		if err != nil {
			return err
		}
		text = newest.Note
	}
	protocol.Answer{Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: text}.Send(c)
	return nil
}

// ledgerKey is a key by which checkpoints are verified, with when it signed.
type ledgerKey struct {
	Key  string  `json:"key"`
	From instant `json:"from"`
	To   instant `json:"to,omitzero"`
}

type ledgerKeyList struct {
	Items []ledgerKey `json:"items"`
}

// listLedgerKeys answers GET {org}/ledger/keys: all of them, the first one first.
func (a *api) listLedgerKeys(c *protocol.Call) error {
	if err := query(c).Err; err != nil {
		return err
	}
	keys, err := a.svc.LedgerKeys(c.Request.Context(), c.Actor)
	if err != nil {
		return err
	}
	list := ledgerKeyList{Items: make([]ledgerKey, len(keys))}
	for i, k := range keys {
		list.Items[i] = ledgerKey{k.Text, instant(k.From), instant(k.To)}
	}
	return protocol.WriteJSON(c, http.StatusOK, list)
}

// getProof answers GET {org}/ledger/proof?event=ID[&size=N].
func (a *api) getProof(c *protocol.Call) error {
	q := query(c, "event", "size")
	event := protocol.Parsed(q, consent.NoID, parseEvent, "event")
	size := q.Number(0, 1, math.MaxInt, "size")
	if event == consent.NoID {
		q.Fail(consent.Errorf(consent.Invalid, "", "is required"), "event")
	}
	if q.Err != nil {
		return q.Err
	}
	proof, err := a.svc.LedgerProof(c.Request.Context(), c.Actor, event, int64(size))
	if err != nil {
		return notYet(c, err)
	}
	return protocol.WriteJSON(c, http.StatusOK, proof)
}

func parseEvent(given string) (consent.ID, error) {
	id, ok := consent.ParseID(given)
	if !ok || id == consent.NoID {
		return id, consent.Errorf(consent.Invalid, "", "must be the id of an event")
	}
	return id, nil
}

// getConsistency answers GET {org}/ledger/consistency?from=&to=.
func (a *api) getConsistency(c *protocol.Call) error {
	q := query(c, "from", "to")
	from, to := q.Number(-1, 0, math.MaxInt, "from"), q.Number(-1, 0, math.MaxInt, "to")
	for name, given := range map[string]int{"from": from, "to": to} {
		if given < 0 {
			q.Fail(consent.Errorf(consent.Invalid, "", "is required"), name)
		}
	}
	if q.Err != nil {
		return q.Err
	}
	grown, err := a.svc.Consistency(c.Request.Context(), c.Actor, int64(from), int64(to))
	if err != nil {
		return notYet(c, err)
	}
	return protocol.WriteJSON(c, http.StatusOK, grown)
}

// notYet says when to come again for what no checkpoint covers yet, and that a wrong field is a parameter.
func notYet(c *protocol.Call, err error) error {
	switch e := consent.AsError(err); {
	case errors.Is(err, service.ErrLedgerBehind): // until the operator does something
	case e.Kind == consent.Conflict:
		c.Header().Set("Retry-After", "1")
	case e.Kind == consent.Invalid && e.Field != "":
		return protocol.At(inQuery+e.Field, e)
	}
	return err
}

// getTile answers GET {org}/ledger/tile/…. A full tile never changes.
func (a *api) getTile(c *protocol.Call) error {
	if err := query(c).Err; err != nil {
		return err
	}
	_, path, _ := strings.Cut(c.Request.URL.EscapedPath(), "/ledger/") // which no id holds
	content, full, err := a.svc.LedgerTile(c.Request.Context(), c.Actor, path)
	if err != nil {
		return err
	}
	if full {
		kept := "private"
		if a.ledgerPublic {
			kept = "public"
		}
		c.Header().Set("Cache-Control", kept+", max-age=31536000, immutable")
	}
	protocol.Answer{Status: http.StatusOK, ContentType: "application/octet-stream", Body: content}.Send(c)
	return nil
}

// mostWait is the longest that a write waits for its checkpoint.
const mostWait = 10 * time.Second

// waitPreferred reads how long a call would wait (RFC 7240, section 4.3); 0: not at all. What is not understood is no
// preference.
func waitPreferred(h http.Header) time.Duration {
	for preference := range strings.SplitSeq(strings.Join(h["Prefer"], ","), ",") {
		name, value, _ := strings.Cut(preference, "=")
		seconds, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`))
		if strings.EqualFold(strings.TrimSpace(name), "wait") && err == nil && seconds > 0 {
			return min(time.Duration(min(seconds, 60))*time.Second, mostWait)
		}
	}
	return 0
}

// awaitCheckpoint waits for a checkpoint that covers what was recorded, where the call would. It was recorded all the
// same where there is none in time.
func (a *api) awaitCheckpoint(c *protocol.Call, recorded *consent.Recorded) {
	wait := waitPreferred(c.Request.Header)
	var last int64
	for _, item := range recorded.Items {
		for _, e := range item.Events {
			last = max(last, e.Sequence)
		}
	}
	if wait == 0 || last == 0 {
		return
	}
	if a.svc.AwaitCheckpoint(c.Request.Context(), c.Actor, last, wait) {
		c.Header().Set("Preference-Applied", "wait")
	}
}
