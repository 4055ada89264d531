package slashid

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// slashid.md, Answer: created_at is RFC 3339, microseconds, trailing zeros trimmed.
func TestTimestamp(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	for want, at := range map[string]time.Time{
		"2024-03-02T22:17:31.97481Z":  time.Date(2024, 3, 2, 22, 17, 31, 974810000, time.UTC),
		"2005-12-24T18:29:30.033157Z": time.Date(2005, 12, 24, 19, 29, 30, 33157000, berlin),
		"2024-03-02T22:17:31Z":        time.Date(2024, 3, 2, 22, 17, 31, 999, time.UTC),
		"2024-03-02T22:17:31.1Z":      time.Date(2024, 3, 2, 22, 17, 31, 100000000, time.UTC),
	} {
		if got := timestamp(at); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A level shows only while it is in force.
func TestShowLevels(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := &api{clock: func() time.Time { return now }}
	since := now.Add(-time.Hour)
	got := a.show(map[string]consent.Consent{
		consent.Tracking:    {Grants: true, Since: since},
		consent.NonePurpose: {Grants: true, Since: since, ExpiresAt: now.Add(time.Second)},
		consent.Analytics:   {Grants: true, Since: since, ExpiresAt: now},
		consent.Marketing:   {Grants: false, State: consent.Withdrawn},
		consent.Functional:  {Grants: true, Since: since},
	})
	want := result[levelsResult]{levelsResult{[]levelBody{{"none", "2026-03-01T11:00:00Z"},
		{"tracking", "2026-03-01T11:00:00Z"}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A profile that cannot be read, and one that another protocol wrote, do not hide a person.
func TestShowPersonWithoutProfile(t *testing.T) {
	for _, kept := range []string{"", "{", `{"groups":1}`, `{"something":"else"}`} {
		view := &consent.SubjectView{Name: "p",
			Identifiers: []consent.Identifier{{Kind: consent.UserID, Value: "p"}, {Kind: consent.Phone, Value: "+1"}}}
		view.Record.Profile = []byte(kept)
		got, err := protocol.JSON(http.StatusOK, showPerson(view))
		want := `{"result":{"active":true,"person_id":"p","person_type":"regular","handles":[{"type":"phone_number","value":"+1"}],"groups":[],"attributes":{}}}`
		if err != nil || string(got.Body) != want {
			t.Errorf("%q: %s, %v", kept, got.Body, err)
		}
	}
}

// FuzzLevels: what is taken names known purposes, each once.
func FuzzLevels(f *testing.F) {
	for _, seed := range []string{`{"consent_levels":["analytics","marketing","analytics"]}`, `{"consent_levels":[]}`,
		`{"consent_levels":null}`,
		`{"consent_levels":[null]}`, `{}`, `[]`, `{"consent_levels":["none",1]}`} {
		f.Add([]byte(seed), "consent_levels=none,tracking")
	}
	for _, seed := range []string{"deleteAll=true", "deleteAll=false", "consent_levels=a&consent_levels=none",
		"consent_levels=%2C", "%", "a;b"} {
		f.Add([]byte("{}"), seed)
	}
	check := func(t *testing.T, purposes []string) {
		for i, p := range purposes {
			if !slices.Contains(allPurposes(), p) || slices.Contains(purposes[:i], p) {
				t.Errorf("purposes %q", purposes)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		var r levelsRequest
		if protocol.Unmarshal(body, &r) == nil {
			purposes, err := r.granted()
			check(t, purposes)
			if err != nil && !consent.IsKind(err, consent.Invalid) {
				t.Errorf("body: %v", err)
			}
		}
		purposes, err := toDelete(query)
		check(t, purposes)
		if err == nil && len(purposes) == 0 || err != nil && !consent.IsKind(err, consent.Invalid) {
			t.Errorf("query: %q, %v", purposes, err)
		}
	})
}

// FuzzPerson: what is taken has handles in the form that is looked up, and can be shown again.
func FuzzPerson(f *testing.F) {
	for _, seed := range []string{
		`{"active":true,"person_type":"regular","region":"europe-belgium","handles":[{"type":"email_address","value":"A@Example.com"}],"groups":["g"],"attributes":{"a":{"b":1.0}}}`,
		`{"handles":[{"type":"phone_number","value":"+49 30 901820"},{"type":"username","value":"x"}]}`,
		`{"handles":[]}`, `{"handles":null,"attributes":null}`, `{"handles":[null]}`, `{"attributes":[]}`, `{"active":1}`,
		`{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var r personRequest
		if protocol.Unmarshal(body, &r) != nil {
			return
		}
		input, err := r.input()
		if err != nil {
			if !consent.IsKind(err, consent.Invalid) {
				t.Error(err)
			}
			return
		}
		for _, id := range input.Handles {
			if again, err := consent.Normalize(id.Kind, id.Value); err != nil || again != id.Value {
				t.Errorf("%q normalises to %q, %v", id.Value, again, err)
			}
		}
		view := &consent.SubjectView{Name: "p", Identifiers: input.Handles}
		view.Record.Data, view.Record.Profile = input.Data, input.Profile
		shown := showPerson(view)
		if len(shown.Result.Handles) != len(input.Handles) {
			t.Errorf("shows %v of %v", shown.Result.Handles, input.Handles)
		}
		if _, err := protocol.JSON(http.StatusOK, shown); err != nil {
			t.Error(err)
		}
	})
}
