package consent

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// preparing is a catalog and facts to prepare by: Americans are opt-out, and 203.0.113.0/24 is in Germany.
func preparing() (*Catalog, Facts) {
	d := &Catalog{Organization: Organization{ID: ID{1}}, Projects: []Project{{ID: ID{2}, Number: 1}}}
	for i, in := range BuiltInPurposes() {
		p := d.NewPurpose(1, ID{3, byte(i)}, noon.AddDate(-1, 0, 0), in)
		p.Version = 3
		d = d.With(p)
	}
	return d, Facts{Now: noon, Session: ID{9}, Hash: func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] },
		Country: func(a netip.Addr) string {
			if netip.MustParsePrefix("203.0.113.0/24").Contains(a) {
				return "DE"
			}
			return UnknownCountry
		},
		Regime: func(country string) Regime {
			if country == "US" {
				return OptOut
			}
			return OptIn
		}}
}

// item is a valid item, changed.
func item(change func(*Item)) Item {
	it := Item{Identifiers: []Identifier{{Kind: UserID, Value: "u"}},
		Decisions: []Decision{{Purpose: PurposeRef{Key: Analytics}, State: Accepted, Action: UserClick}}}
	if change != nil {
		change(&it)
	}
	return it
}

// mistaken are items with one mistake each, and where it is.
var mistaken = []struct {
	field  string
	kind   Kind
	change func(*Item)
}{
	{"identifiers", Unprocessable, func(it *Item) { it.Identifiers = nil }},
	{"email", Invalid, func(it *Item) { it.Identifiers[0] = Identifier{Kind: Email, Value: "x"} }},
	{"user_id", Invalid, func(it *Item) { it.Identifiers = append(it.Identifiers, it.Identifiers[0]) }},
	{"subject_id", Unprocessable, func(it *Item) { it.Subject = ID{5} }},
	{"purpose", Unprocessable, func(it *Item) { it.Decisions[0].Purpose.Key = "nothing" }},
	{"purpose_version", Unprocessable, func(it *Item) { it.Decisions[0].PurposeVersion = 4 }},
	{"purpose_version", Unprocessable, func(it *Item) { it.Decisions[0].PurposeVersion = -1 }},
	{"occurred_at", Invalid, func(it *Item) { it.Decisions[0].OccurredAt = noon.Add(maxAhead + time.Microsecond) }},
	{"occurred_at", Invalid, func(it *Item) { it.Decisions[0].OccurredAt = time.Unix(-1, 0) }},
	{"expires_at", Invalid, func(it *Item) { it.Decisions[0].ExpiresAt = noon }},
	{"displayed_text", Invalid, func(it *Item) { it.Decisions[0].DisplayedText = strings.Repeat("x", maxText+1) }},
	{"notice_url", Invalid, func(it *Item) { it.Evidence.NoticeURL = strings.Repeat("x", maxURL+1) }},
	{"form_url", Invalid, func(it *Item) { it.Evidence.FormURL = "\xff" }},
	{"locale", Invalid, func(it *Item) { it.Evidence.Locale = strings.Repeat("x", maxLocale+1) }},
	{"country", Invalid, func(it *Item) { it.Evidence.Country = "DEU" }},
	{"country", Invalid, func(it *Item) { it.Evidence.Country = "ß" }},
	{"domain", Invalid, func(it *Item) { it.Evidence.Domain = "a b" }},
	{"domain", Invalid, func(it *Item) { it.Evidence.Domain = strings.Repeat("a.", 127) }},
	{"metadata", Invalid, func(it *Item) { it.Metadata = Metadata{"": ""} }},
}

// TestPrepareTellsMistakes: whoever asks is told all, in order, others the first, whatever else is right.
func TestPrepareTellsMistakes(t *testing.T) {
	d, facts := preparing()
	w := Write{Field: func(i int, noun string) string { return fmt.Sprintf("%d %s", i, noun) }}
	var want []string
	for i, m := range mistaken {
		w.Items = append(w.Items, item(m.change), item(nil))
		want = append(want, fmt.Sprintf("%d %s", 2*i, m.field))
		alone := Write{Items: []Item{item(m.change)}}
		if _, err := Prepare(Actor{}, d, &alone, facts); !IsKind(err, m.kind) ||
			AsError(err).Field != "items[0]."+m.field {
			t.Errorf("%s: %v", m.field, err)
		}
	}
	_, err := Prepare(Actor{}, d, &w, facts)
	if e := AsError(err); e.Field != want[0] || e.More != nil {
		t.Errorf("the first: %v, and %v", e, e.More)
	}
	w.AllMistakes = true
	_, err = Prepare(Actor{}, d, &w, facts)
	if got := fieldsOf(err); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	w.Items = slices.Repeat(w.Items[:1], MaxItems)
	if _, err = Prepare(Actor{}, d, &w, facts); len(fieldsOf(err)) != MaxMistakes {
		t.Errorf("%d mistakes are told", len(fieldsOf(err)))
	}
	_, err = Prepare(Actor{Person: "somebody else"}, d, &w, facts)
	if !IsKind(err, Invalid) && !IsKind(err, Unprocessable) {
		t.Errorf("no names: %v", err)
	}
	w.Items = append([]Item{item(mistaken[1].change)}, item(nil))
	if _, err = Prepare(Actor{Person: "another"}, d, &w, facts); !IsKind(err, Forbidden) || AsError(err).More != nil {
		t.Errorf("who may not is told %v", err)
	}
}

// fieldsOf gives the places of all mistakes.
func fieldsOf(err error) []string {
	e := AsError(err)
	fields := []string{e.Field}
	for _, more := range e.More {
		fields = append(fields, more.Field)
	}
	return fields
}

// TestSeveralMistakesOfOneItem: one item tells all of its own too.
func TestSeveralMistakesOfOneItem(t *testing.T) {
	d, facts := preparing()
	w := Write{AllMistakes: true, Items: []Item{item(func(it *Item) {
		it.Identifiers[0], it.Evidence.Country = Identifier{Kind: Email, Value: "x"}, "Germany"
		it.Metadata, it.Decisions[0].PurposeVersion = Metadata{"n": nil}, 9
	})}}
	_, err := Prepare(Actor{}, d, &w, facts)
	want := []string{"items[0].email", "items[0].country", "items[0].metadata", "items[0].purpose_version"}
	if got := fieldsOf(err); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestEvidenceStandsForTheRequest: what the evidence says stands instead of what is known of the request, no more.
func TestEvidenceStandsForTheRequest(t *testing.T) {
	d, facts := preparing()
	request := Origin{Protocol: "native", Address: netip.MustParseAddr("198.51.100.7"), UserAgent: "server/1",
		Domain: "server.example", Country: "US"}
	berlin := netip.MustParseAddr("203.0.113.77")
	for name, tc := range map[string]struct {
		evidence Evidence
		action   Action
		want     Identity // of those that may be replaced
		regime   Regime
	}{
		"nothing": {Evidence{}, UserClick, Identity{Country: "US", Domain: "server.example", IP: "198.51.100.0",
			UserAgent: "server/1"}, OptOut},
		"an address": {Evidence{Address: berlin}, UserClick, Identity{Country: "DE", Domain: "server.example",
			IP: "203.0.113.0", UserAgent: "server/1"}, OptIn},
		"a country": {Evidence{Country: "UK"}, UserClick, Identity{Country: "GB", CountrySaid: "UK",
			Domain: "server.example", IP: "198.51.100.0", UserAgent: "server/1"}, OptIn},
		"a country that is none": {Evidence{Country: "ZZ"}, UserClick, Identity{Country: UnknownCountry,
			CountrySaid: "ZZ", Domain: "server.example", IP: "198.51.100.0", UserAgent: "server/1"}, OptIn},
		"an address and another country": {Evidence{Address: berlin, Country: "US"}, UserClick, Identity{Country: "US",
			Domain: "server.example", IP: "203.0.113.0", UserAgent: "server/1"}, OptOut},
		"a browser": {Evidence{UserAgent: "Mozilla/5.0\n", Domain: "Shop.EXAMPLE", NoticeURL: "https://n", FormURL: "f"},
			UserClick, Identity{Country: "US", Domain: "shop.example", IP: "198.51.100.0", UserAgent: "Mozilla/5.0\ufffd",
				NoticeURL: "https://n", FormURL: "f"}, OptOut},
		"an import": {Evidence{}, Import, Identity{Country: "US", Domain: "server.example", IP: "198.51.100.0",
			UserAgent: "server/1"}, OptIn},
		"an import that says where": {Evidence{Country: "us"}, Import, Identity{Country: "US", CountrySaid: "us",
			Domain: "server.example", IP: "198.51.100.0", UserAgent: "server/1"}, OptOut},
		"an import of a known place": {Evidence{Address: berlin}, Import, Identity{Country: "DE", Domain: "server.example",
			IP: "203.0.113.0", UserAgent: "server/1"}, OptIn},
	} {
		w := Write{Origin: request, Items: []Item{item(func(it *Item) {
			it.Evidence, it.Decisions[0].Action = tc.evidence, tc.action
		}), item(nil)}}
		p, err := Prepare(Actor{}, d, &w, facts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		view := eventOf(p, 0)
		got := Identity{Country: view.Country, CountrySaid: view.Identity.CountrySaid, Domain: view.Domain,
			FormURL: view.Identity.FormURL, NoticeURL: view.Identity.NoticeURL, IP: view.Identity.IP,
			UserAgent: view.Identity.UserAgent}
		if fmt.Sprint(got) != fmt.Sprint(tc.want) || view.Body.Regime != tc.regime {
			t.Errorf("%s: got  %+v under %s\nwant %+v under %s", name, got, view.Body.Regime, tc.want, tc.regime)
		}
		if err := CheckEvent(d, &view.Event); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if other := eventOf(p, 1); other.Country != "US" || other.Domain != "server.example" {
			t.Errorf("%s: another item is of %s, %s", name, other.Country, other.Domain)
		}
	}
}

// eventOf makes the event of the first decision of an item.
func eventOf(p *Prepared, i int) EventView {
	it := &p.Items[i]
	identity, ident := it.IdentityOf("anonymous")
	return p.Event(it, &it.Decisions[0], &Recording{ID: ID{1}, Sequence: 1, Subject: ID{4},
		Purpose: it.Decisions[0].Found, Current: &Consent{}, Identity: identity, IdentityJSON: ident, Now: noon})
}

// TestVersionOfADecision: the version that is named counts, but none that was made only after the decision.
func TestVersionOfADecision(t *testing.T) {
	d, facts := preparing()
	before := noon.AddDate(-2, 0, 0)
	for _, tc := range []struct {
		named int
		at    time.Time
		want  int
	}{{0, time.Time{}, 3}, {1, time.Time{}, 1}, {3, noon, 3}, {2, noon, 2}, {0, before, 0}, {2, before, 0}} {
		w := Write{Items: []Item{item(func(it *Item) {
			it.Decisions[0].PurposeVersion, it.Decisions[0].OccurredAt = tc.named, tc.at
		})}}
		p, err := Prepare(Actor{}, d, &w, facts)
		if err != nil {
			t.Fatal(err)
		}
		if view := eventOf(p, 0); view.Body.PurposeVersion != tc.want {
			t.Errorf("named %d at %s: got %d, want %d", tc.named, tc.at, view.Body.PurposeVersion, tc.want)
		}
	}
}

// TestExpiryByTheCalendar: without a date of its own a decision holds for the purpose's duration from when it was
// taken, by the calendar in UTC; and what is told in another offset is the same instant.
func TestExpiryByTheCalendar(t *testing.T) {
	d, facts := preparing()
	facts.Now = time.Date(2028, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		duration       Duration
		occurred, want string
	}{
		{"P1M", "2027-01-31T10:00:00Z", "2027-02-28T10:00:00.000000Z"},
		{"P1M", "2028-01-31T10:00:00.123456789Z", "2028-02-29T10:00:00.123456Z"},
		{"P1Y", "2028-02-29T00:00:00Z", "2029-02-28T00:00:00.000000Z"},
		{"P1M", "2028-01-31T23:30:00-02:00", "2028-03-01T01:30:00.000000Z"}, // it is 1 February in UTC
		{"P1M", "2028-02-01T00:30:00+01:00", "2028-02-29T23:30:00.000000Z"}, // it is 31 January in UTC
		{"P1D", "2027-03-28T00:30:00+01:00", "2027-03-28T23:30:00.000000Z"}, // Berlin's clocks change: a day in UTC
		{"PT1S", "2028-02-29T23:59:59.999999Z", "2028-03-01T00:00:00.999999Z"},
	} {
		at := slices.IndexFunc(d.Purposes, func(p Purpose) bool { return p.Key == Analytics })
		d.Purposes[at].Duration = tc.duration
		occurred, err := ParseInstant(tc.occurred)
		if err != nil {
			t.Fatal(err)
		}
		w := Write{Items: []Item{item(func(it *Item) { it.Decisions[0].OccurredAt = occurred })}}
		p, err := Prepare(Actor{}, d, &w, facts)
		if err != nil {
			t.Fatalf("%s: %v", tc.occurred, err)
		}
		if view := eventOf(p, 0); view.Body.ExpiresAt != tc.want || formatInstant(view.ExpiresAt) != tc.want {
			t.Errorf("%s and %s: got %s, want %s", tc.occurred, tc.duration, view.Body.ExpiresAt, tc.want)
		}
	}
}

// TestUnknownMustBeKnown: who is named by a subject's id has to be known; all who are not are told.
func TestUnknownMustBeKnown(t *testing.T) {
	d, facts := preparing()
	w := Write{AllMistakes: true}
	for i := range 4 {
		w.Items = append(w.Items, item(func(it *Item) { it.Identifiers, it.Subject = nil, ID{byte(i + 1)} }))
	}
	w.Items = append(w.Items, item(nil))
	p, err := Prepare(Actor{}, d, &w, facts)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Unknown(func(id Identifier) bool { return id.Kind == SubjectID && id.Value == ID{2}.String() })
	want := []string{"items[0].subject_id", "items[2].subject_id", "items[3].subject_id"}
	if got := fieldsOf(err); !IsKind(err, Unprocessable) || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if err := p.Unknown(func(Identifier) bool { return true }); err != nil {
		t.Error(err)
	}
}
