package consent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// What a tool needs that checks a store against the rules. Pure functions; nil means that all is well.

// CheckConsent holds a current consent against all events that led to it, in any order.
func CheckConsent(c *Consent, events []Event) error {
	if len(events) == 0 {
		return fmt.Errorf("there is no event that led to it")
	}
	want, got := fold(events), *c
	// How it is stored stays out of it, and so does whose an event was before a merge.
	want.Organization, want.Subject, want.Project, want.Purpose, want.Last = c.Organization, c.Subject, c.Project, c.Purpose, c.Last
	for _, t := range []*time.Time{&want.OccurredAt, &want.ExpiresAt, &want.Since, &got.OccurredAt, &got.ExpiresAt, &got.Since} {
		*t = t.UTC()
	}
	if got != want {
		return fmt.Errorf("it says %s by event %s, its %d events say %s by event %s", got.State, got.Event, len(events), want.State, want.Event)
	}
	return nil
}

// CheckEvent holds an event's blobs against canonical JSON and against its other members.
func CheckEvent(d *Directory, e *Event) error {
	view, err := d.Show(e)
	if err != nil {
		return err
	}
	for _, blob := range [][]byte{e.Body, e.Ident} {
		if err := checkCanonical(blob); err != nil {
			return err
		}
	}
	purpose := ""
	if view.PurposeOf != nil {
		purpose = view.PurposeOf.Key
	}
	body, ident := &view.Decided, &view.Identity
	for _, pair := range []struct{ what, blob, row string }{
		{"state", body.State, e.State.String()},
		{"action", body.Action, e.Action.String()},
		{"occurred_at", body.OccurredAt, e.OccurredAt.UTC().Format(instantFormat)},
		{"expires_at", body.ExpiresAt, e.ExpiresAt.UTC().Format(instantFormat)},
		{"project", body.Project, view.ProjectID.String()},
		{"purpose", body.Purpose, purpose},
		{"grants", fmt.Sprint(e.State == Accepted || e.State == Implied && body.Regime == OptOut), fmt.Sprint(e.Grants)},
		{"key", ident.Key, e.Key.String()},
		{"country", ident.Country, e.Country},
		{"domain", ident.Domain, e.Domain},
	} {
		if pair.blob != pair.row {
			return fmt.Errorf("%s is %q in the blob and %q in the row", pair.what, pair.blob, pair.row)
		}
	}
	return nil
}

// checkCanonical tells whether a blob is the canonical JSON of what it says.
func checkCanonical(blob []byte) error {
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

// appendCanonical appends what blobs consist of: objects with names in ASCII, strings and whole numbers.
func appendCanonical(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return appendString(b, v), nil
	case json.Number:
		return append(b, v...), nil
	case map[string]any:
		b = append(b, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			b = appendName(b, name)
			var err error
			if b, err = appendCanonical(b, v[name]); err != nil {
				return b, err
			}
		}
		return append(b, '}'), nil
	}
	return b, fmt.Errorf("a blob holds a %T", value)
}
