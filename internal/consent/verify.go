package consent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// What a tool needs that checks a store against the rules. Pure functions; nil means that all is well.

// CheckConsent holds a current consent against all events that led to it, in any order, with the merges of its subject.
func CheckConsent(c *Consent, events []Event, merges []SubjectMerge) error {
	if len(events) == 0 {
		return fmt.Errorf("there is no event that led to it")
	}
	for i := range events {
		e := &events[i]
		theirs := e.Subject == c.Subject ||
			slices.ContainsFunc(merges, func(m SubjectMerge) bool { return m.From == e.Subject })
		if !theirs || e.Project != c.Project || e.Purpose != c.Purpose {
			return fmt.Errorf("event %s, which led to it, is about another person or purpose", e.ID)
		}
	}
	want, got := fold(events, merges), *c
	// How it is stored stays out of it, and so does whose an event was before a merge.
	want.Organization, want.Subject, want.Last = c.Organization, c.Subject, c.Last
	want.Project, want.Purpose = c.Project, c.Purpose
	for _, t := range []*time.Time{&want.OccurredAt, &want.ExpiresAt, &want.Since, &got.OccurredAt, &got.ExpiresAt,
		&got.Since} {
		*t = t.UTC()
	}
	if got != want {
		return fmt.Errorf("it says %s by event %s, its %d events say %s by event %s", got.State, got.Event, len(events),
			want.State, want.Event)
	}
	return nil
}

// Mismatch tells that a blob of an event says something else than its row.
type Mismatch struct{ Field, Blob, Row string }

func (m *Mismatch) Error() string {
	return fmt.Sprintf("%s is %q in the blob and %q in the row", m.Field, m.Blob, m.Row)
}

// CheckEvent holds an event's blobs against canonical JSON and against its other members, by which a *Mismatch is told.
func CheckEvent(d *Catalog, e *Event) error {
	view, err := d.Show(e)
	if err != nil {
		return err
	}
	for _, blob := range [][]byte{e.BodyJSON, e.IdentityJSON} {
		if err := checkCanonical(blob); err != nil {
			return err
		}
	}
	purpose := ""
	if view.PurposeOf != nil {
		purpose = view.PurposeOf.Key
	}
	body, ident := &view.Body, &view.Identity
	for _, pair := range []struct{ what, blob, row string }{
		{"state", body.State, e.State.String()},
		{"action", body.Action, e.Action.String()},
		{"occurred_at", body.OccurredAt, formatInstant(e.OccurredAt)},
		{"expires_at", body.ExpiresAt, formatInstant(e.ExpiresAt)},
		{"project", body.Project, view.ProjectID.String()},
		{"purpose", body.Purpose, purpose},
		{"purpose_version", fmt.Sprint(body.PurposeVersion), fmt.Sprint(e.PurposeVersion)},
		{"grants", fmt.Sprint(grants(e.State, e.Action, body.Regime)), fmt.Sprint(e.Grants)},
		{"weight", fmt.Sprint(weigh(e.State, e.Action, body.Undated)), fmt.Sprint(e.Weight)},
		{"key", ident.Key, e.Key.String()},
		{"country", ident.Country, e.Country},
		{"domain", ident.Domain, e.Domain},
		{"protocol", ident.Protocol, e.Protocol},
	} {
		if pair.blob != pair.row {
			return &Mismatch{pair.what, pair.blob, pair.row}
		}
	}
	return nil
}

// checkCanonical tells whether a blob is the canonical JSON of what it says.
func checkCanonical(blob []byte) error {
	if isPlain(blob) {
		return nil
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(blob))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("a blob is not JSON: %w", err)
	}
	canonical, err := appendCanonical(nil, value)
	if err != nil {
		return err
	}
	if !bytes.Equal(canonical, blob) {
		return fmt.Errorf("a blob is not canonical JSON")
	}
	return nil
}

// appendCanonical appends what blobs consist of: objects, strings, numbers, true and false.
func appendCanonical(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return appendString(b, v), nil
	case json.Number:
		n, err := v.Float64()
		if err != nil {
			return b, fmt.Errorf("a blob holds a number out of range: %w", err)
		}
		return appendNumber(b, n), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case map[string]any:
		b = append(b, '{')
		for _, name := range sortedNames(v) {
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			b = append(appendString(b, name), ':')
			var err error
			if b, err = appendCanonical(b, v[name]); err != nil {
				return b, err
			}
		}
		return append(b, '}'), nil
	}
	return b, fmt.Errorf("a blob holds a %T", value)
}

// ReadDecision reads from a body, as it is on record, what of an event it says, and the project, by its id, and the
// purpose, by its key, that it is about. The error says that it is no body.
func ReadDecision(body []byte) (e Event, project, purpose string, err error) {
	var b Body
	if err := b.decode(body); err != nil {
		return e, "", "", err
	}
	var known bool
	if e.State, known = ParseState(b.State); !known {
		return e, "", "", errors.New("it names no state")
	}
	if e.Action, known = ParseAction(b.Action); !known {
		return e, "", "", errors.New("it names no action")
	}
	if e.OccurredAt, err = time.Parse(time.RFC3339Nano, b.OccurredAt); err != nil {
		return e, "", "", errors.New("it does not say when it occurred")
	}
	if b.ExpiresAt != "" {
		if e.ExpiresAt, err = time.Parse(time.RFC3339Nano, b.ExpiresAt); err != nil {
			return e, "", "", errors.New("it does not say when it expires")
		}
	}
	e.PurposeVersion = b.PurposeVersion
	e.Weight, e.Grants = weigh(e.State, e.Action, b.Undated), grants(e.State, e.Action, b.Regime)
	return e, b.Project, b.Purpose, nil
}
