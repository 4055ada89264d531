package consent

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checkCatalog has one project with a purpose of each legal basis that matters, numbered from 1: consent, consent of
// which version 3 asks for a new yes, legitimate interests, contract.
func checkCatalog() *Catalog {
	c := &Catalog{Organization: Organization{ID: ID{1}}, Projects: []Project{{ID: ID{2}, Number: 1, Slug: "site"}}}
	for i, p := range []Purpose{{Key: "mail"}, {Key: "news", Version: 3, RequireReaccept: true},
		{Key: "fraud", LegalBasis: BasisLegitimateInterests}, {Key: "delivery", LegalBasis: "contract"}} {
		p.Project, p.Number, p.Version = 1, i+1, max(p.Version, 1)
		c.Purposes = append(c.Purposes, p)
	}
	return c
}

// consentOfOne makes the consent that one event makes, of a purpose.
func consentOfOne(purpose int, e Event) Consent {
	e.Purpose = purpose
	c := fold([]Event{e}, nil)
	c.Subject, c.Project, c.Purpose = e.Subject, 1, purpose
	return c
}

func checkOf(t failing, q CheckQuery) *PreparedCheck {
	t.Helper()
	p, err := PrepareCheck(Actor{Root: true}, checkCatalog(), &q)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

// failing is a test, or one draw of a property test.
type failing interface {
	Helper()
	Fatalf(format string, args ...any)
}

// TestReasons asks for every reason, one person and one purpose at a time.
func TestReasons(t *testing.T) {
	const none, yes, no, withdrawal, implied, viewed, impliedYes = -1, 0, 1, 2, 3, 4, 5
	for _, tc := range []struct {
		name     string
		purpose  int
		sort     int
		regime   Regime
		version  int
		life, at int
		state    string
		granted  bool
		reason   Reason
		stale    bool
	}{
		{"a yes", 1, yes, OptIn, 1, 0, 9, "accepted", true, ReasonAccepted, false},
		{"a no", 1, no, OptIn, 1, 0, 9, "declined", false, ReasonDeclined, false},
		{"a withdrawal", 1, withdrawal, OptIn, 1, 0, 9, "withdrawn", false, ReasonWithdrawn, false},
		{"implied, opt-out", 1, implied, OptOut, 1, 0, 9, "implied", true, ReasonImpliedOptOut, false},
		{"implied, opt-in", 1, implied, OptIn, 1, 0, 9, "implied", false, ReasonImpliedNeedsYes, false},
		{"a yes by implication, opt-out", 1, impliedYes, OptOut, 1, 0, 9, "implied", true, ReasonImpliedOptOut, false},
		{"a yes by implication, opt-in", 1, impliedYes, OptIn, 1, 0, 9, "implied", false, ReasonImpliedNeedsYes, false},
		{"viewed", 1, viewed, OptOut, 1, 0, 9, "viewed", false, ReasonViewedOnly, false},
		{"never asked", 1, none, OptIn, 0, 0, 9, "unknown", false, ReasonNeverAsked, false},
		{"a microsecond before it expires", 1, yes, OptIn, 1, 9, -1, "accepted", true, ReasonAccepted, false},
		{"from the very instant on", 1, yes, OptIn, 1, 9, 9, "expired", false, ReasonExpired, false},
		{"a no that expired", 1, no, OptIn, 1, 9, 9, "expired", false, ReasonExpired, false},
		{"implied and expired", 1, implied, OptOut, 1, 9, 9, "expired", false, ReasonExpired, false},
		{"a yes to the text of now", 2, yes, OptIn, 3, 0, 9, "accepted", true, ReasonAccepted, false},
		{"a yes to an older text", 2, yes, OptIn, 2, 0, 9, "accepted", false, ReasonReacceptRequired, true},
		{"a yes of before our records", 2, yes, OptIn, 0, 0, 9, "accepted", false, ReasonReacceptRequired, true},
		{"implied under an older text", 2, implied, OptOut, 2, 0, 9, "implied", false, ReasonReacceptRequired, true},
		{"implied under it, opt-in", 2, implied, OptIn, 2, 0, 9, "implied", false, ReasonImpliedNeedsYes, true},
		{"a no to an older text", 2, no, OptIn, 2, 0, 9, "declined", false, ReasonDeclined, false},
		{"an older yes that expired", 2, yes, OptIn, 2, 9, 9, "expired", false, ReasonExpired, true},
		{"legitimate interests, never asked", 3, none, OptIn, 0, 0, 9, "unknown", true, ReasonLegalBasis, false},
		{"a yes to them", 3, yes, OptIn, 1, 0, 9, "accepted", true, ReasonLegalBasis, false},
		{"a yes to them that expired", 3, yes, OptIn, 1, 9, 9, "expired", true, ReasonLegalBasis, false},
		{"an objection", 3, no, OptIn, 1, 0, 9, "declined", false, ReasonObjected, false},
		{"an objection by taking back", 3, withdrawal, OptIn, 1, 0, 9, "withdrawn", false, ReasonObjected, false},
		{"an objection does not expire", 3, no, OptIn, 1, 9, 99, "declined", false, ReasonObjected, false},
		{"a contract", 4, none, OptIn, 0, 0, 9, "unknown", true, ReasonLegalBasis, false},
		{"a no to what a contract needs", 4, no, OptIn, 1, 0, 9, "declined", true, ReasonLegalBasis, false},
	} {
		d := checkCatalog()
		p := checkOf(t, CheckQuery{People: [][]Identifier{{{Kind: UserID, Value: "ada"}}},
			Purposes: []string{d.Purposes[tc.purpose-1].Key}})
		who := Who{Subject: ID{1}}
		var e Event
		if tc.sort != none {
			e = makeEvent(tc.sort, 1, minute(0), minute(0), tc.life, tc.regime)
			e.PurposeVersion = tc.version
			who.Consents = []Consent{consentOfOne(tc.purpose, e)}
		}
		at := minute(tc.at)
		if tc.at < 0 {
			at = e.ExpiresAt.Add(-time.Microsecond)
		}
		got := p.Check(&Meant{Given: p.People[0], Who: []Who{who}}, at)
		r := got.Results[0]
		if r.State != tc.state || r.Granted != tc.granted || r.Reason != tc.reason || r.Stale != tc.stale ||
			r.Event != e.ID || !r.DecidedAt.Equal(e.OccurredAt) || r.PurposeVersion != tc.version {
			t.Errorf("%s: %+v", tc.name, r)
		}
		if got.Subject != who.Subject || got.Ambiguous || !got.At.Equal(at) {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

// TestTooManyPeople: where not all were read who share an address nobody's yes is given, and a no that was read counts.
func TestTooManyPeople(t *testing.T) {
	p := checkOf(t, CheckQuery{People: [][]Identifier{{{Kind: Email, Value: "a@b.c"}}}})
	who := Who{Subject: ID{1}, Claimants: make([]ID, MaxClaimants+1)}
	for i := range who.Claimants {
		who.Claimants[i] = ID{2, 14: byte(i >> 8), 15: byte(i)}
	}
	who.Consents = []Consent{consentOfOne(1, makeEvent(0, 1, minute(0), minute(0), 0, OptIn)),
		consentOfOne(2, makeEvent(1, 2, minute(0), minute(0), 0, OptIn))}
	got := p.Check(&Meant{Given: p.People[0], Who: []Who{who}}, minute(9))
	for i, want := range []Reason{ReasonTooManyPeople, ReasonDeclined, ReasonTooManyPeople, ReasonLegalBasis} {
		if r := got.Results[i]; r.Reason != want || r.Granted != (want == ReasonLegalBasis) {
			t.Errorf("%s: %+v, want %s", r.Purpose.Key, r, want)
		}
	}
	if !got.Ambiguous {
		t.Error("it is not ambiguous")
	}
}

// modelPerson is somebody of the slow model: what they are called, what they claim, and what they decided last on
// "mail".
type modelPerson struct {
	id     ID
	names  []Identifier
	claims []Identifier
	said   *Consent
}

func (p *modelPerson) has(id Identifier) bool { return slices.Contains(p.names, id) }

func (p *modelPerson) hasAnother(id Identifier) bool {
	return slices.ContainsFunc(p.names, func(n Identifier) bool { return n.Kind == id.Kind && n.Value != id.Value })
}

// TestCheckOfSharedIdentifiers draws people who share addresses, and asks by any of them: what is granted, and what is
// a no, is what the contract says word by word. Red where weaker identifiers may give a yes, where claims are not
// heard, and where another value of a stronger kind does not make somebody else.
func TestCheckOfSharedIdentifiers(t *testing.T) {
	kinds := []IdentifierKind{UserID, Email, Phone}
	values := map[IdentifierKind][]string{UserID: {"ada", "bob"}, Email: {"a@b.c", "x@y.z"},
		Phone: {"+493012345678", "+493012345679"}}
	comeUp := []string{"accepted", "declined", "withdrawn", "never_asked", "expired", "ambiguous", "nobody"}
	seen := map[string]int{}
	property := func(t *rapid.T) {
		var people []*modelPerson
		owned := map[Identifier]*modelPerson{}
		for i := range rapid.IntRange(0, 3).Draw(t, "people") {
			p := &modelPerson{id: ID{byte(i + 1)}}
			for _, kind := range kinds {
				if !rapid.Bool().Draw(t, "has one") {
					continue
				}
				id := Identifier{Kind: kind, Value: rapid.SampledFrom(values[kind]).Draw(t, "value")}
				if owned[id] == nil {
					owned[id], p.names = p, append(p.names, id)
				} else if kind != UserID {
					p.claims = append(p.claims, id)
				}
			}
			if sort := rapid.IntRange(-1, 3).Draw(t, "said"); sort >= 0 {
				c := consentOfOne(1, of(byte(i+1), makeEvent(sort, i+1, minute(i), minute(i),
					rapid.SampledFrom([]int{0, 1, 8}).Draw(t, "life"), OptOut)))
				p.said = &c
			}
			people = append(people, p)
		}
		var asked []Identifier
		for _, kind := range kinds {
			if rapid.Bool().Draw(t, "asked") {
				asked = append(asked, Identifier{Kind: kind, Value: rapid.SampledFrom(values[kind]).Draw(t, "by")})
			}
		}
		if len(asked) == 0 {
			return
		}
		at := minute(rapid.IntRange(2, 9).Draw(t, "at"))
		got := checkModelPeople(t, people, asked, at)
		want := modelChecked(people, owned, asked, at)
		if got != want {
			t.Fatalf("%v: it says %+v, the contract %+v", asked, got, want)
		}
		seen[string(got.reason)]++
		if got.ambiguous {
			seen["ambiguous"]++
		}
		if got.subject == NoID && len(people) > 0 {
			seen["nobody"]++
		}
	}
	rare := func(what string) bool { return seen[what] == 0 }
	for range 20 { // what comes up once in some hundred draws may be missing from the first hundred
		rapid.Check(t, property)
		if !slices.ContainsFunc(comeUp, rare) {
			return
		}
	}
	t.Errorf("of %q not all came up: %v", comeUp, seen)
}

// checkedMail is what a check says of "mail".
type checkedMail struct {
	subject   ID
	ambiguous bool
	granted   bool
	reason    Reason
	event     ID
}

// checkModelPeople asks the check, with what a store would give of the people.
func checkModelPeople(t *rapid.T, people []*modelPerson, asked []Identifier, at time.Time) checkedMail {
	p := checkOf(t, CheckQuery{People: [][]Identifier{asked}, Purposes: []string{"mail"}})
	m := &Meant{Given: p.People[0]}
	for _, id := range m.Given {
		var w Who
		for _, person := range people {
			switch {
			case person.has(id):
				w.Subject = person.id
			case slices.Contains(person.claims, id):
				w.Claimants = append(w.Claimants, person.id)
			default:
				continue
			}
			if person.said != nil {
				w.Consents = append(w.Consents, *person.said)
			}
		}
		m.Who = append(m.Who, w)
	}
	if owner, _, contested := m.Candidate(); contested {
		m.Names = people[owner[0]-1].names
	}
	got := p.Check(m, at)
	r := got.Results[0]
	return checkedMail{got.Subject, got.Ambiguous, r.Granted, r.Reason, r.Event}
}

// modelChecked is the contract, "Identity", read slowly.
func modelChecked(people []*modelPerson, owned map[Identifier]*modelPerson, asked []Identifier,
	at time.Time) (want checkedMail) {
	var person *modelPerson
	var by Identifier
	for i, id := range asked { // the strongest that is known names the candidate
		if p := owned[id]; p != nil {
			person, by = p, id
			for _, stronger := range asked[:i] {
				if p.hasAnother(stronger) { // that is somebody else, of whom nothing is known
					person = nil
				}
			}
			break
		}
	}
	var meant, decide []*modelPerson
	for _, p := range people {
		if slices.ContainsFunc(asked, func(id Identifier) bool { return p.has(id) || slices.Contains(p.claims, id) }) {
			meant = append(meant, p)
		}
		if person != nil && (p == person || slices.Contains(p.claims, by)) {
			decide = append(decide, p)
		}
	}
	want.ambiguous = len(meant) > 1
	if person != nil {
		want.subject = person.id
	}
	// A no of any is a no: the latest one.
	var found *Consent
	for _, p := range meant {
		if c := p.said; c != nil && c.SaysNo(at) && (found == nil || c.OccurredAt.After(found.OccurredAt)) {
			found = c
		}
	}
	if found == nil { // what was said and holds goes before what does not, the later before the earlier
		holds := func(c *Consent) bool { return c.Said() && !c.Expired(at) }
		for _, p := range decide {
			c := p.said
			if c != nil && (found == nil || holds(c) && !holds(found) || holds(c) == holds(found) &&
				c.OccurredAt.After(found.OccurredAt)) {
				found = c
			}
		}
	}
	want.reason = ReasonNeverAsked
	if found == nil {
		return want
	}
	want.event = found.Event
	switch {
	case !at.Before(found.ExpiresAt) && !found.ExpiresAt.IsZero():
		want.reason = ReasonExpired
	case found.State == Declined:
		want.reason = ReasonDeclined
	case found.State == Withdrawn:
		want.reason = ReasonWithdrawn
	case found.State == Implied:
		want.granted, want.reason = true, ReasonImpliedOptOut
	default:
		want.granted, want.reason = true, ReasonAccepted
	}
	return want
}

// TestPrepareCheck refuses what cannot be answered, with the place.
func TestPrepareCheck(t *testing.T) {
	ada := []Identifier{{Kind: UserID, Value: "ada"}}
	for _, tc := range []struct {
		name  string
		q     CheckQuery
		field string
		more  int
	}{
		{"nobody", CheckQuery{}, "people", 0},
		{"too many people", CheckQuery{People: slices.Repeat([][]Identifier{ada}, 101)}, "people", 0},
		{"nameless", CheckQuery{People: [][]Identifier{ada, {}}}, "people[1].identifiers", 0},
		{"no e-mail address", CheckQuery{People: [][]Identifier{{{Kind: Email, Value: "x"}}}}, "people[0].email", 0},
		{"two of a kind", CheckQuery{People: [][]Identifier{append(ada, ada...)}}, "people[0].user_id", 0},
		{"no purpose", CheckQuery{People: [][]Identifier{ada}, Purposes: []string{}}, "purposes", 0},
		{"unknown purposes", CheckQuery{People: [][]Identifier{ada}, Purposes: []string{"mail", "x", "y"}}, "purposes[1]",
			1},
		{"a purpose twice", CheckQuery{People: [][]Identifier{ada}, Purposes: []string{"mail", "mail"}}, "purposes[1]", 0},
		{"unknown project", CheckQuery{People: [][]Identifier{ada}, Project: "other"}, "project", 0},
	} {
		p, err := PrepareCheck(Actor{Root: true}, checkCatalog(), &tc.q)
		if e := AsError(err); err == nil || e.Field != tc.field || len(e.More) != tc.more || e.Kind == Internal {
			t.Errorf("%s: %+v, %+v", tc.name, p, e)
		}
	}
	for _, project := range []string{"", "default", "site", ID{2}.String()} {
		p, err := PrepareCheck(Actor{Root: true}, checkCatalog(), &CheckQuery{Project: project,
			People: slices.Repeat([][]Identifier{ada}, 100)})
		if err != nil || len(p.Purposes) != 4 || len(p.People) != 100 {
			t.Errorf("%s: %+v, %v", project, p, err)
		}
	}
	confined := Actor{Organization: ID{1}, Person: "bob"}
	_, err := PrepareCheck(confined, checkCatalog(), &CheckQuery{People: [][]Identifier{ada}})
	if !IsKind(err, Forbidden) {
		t.Errorf("of somebody else: %v", err)
	}
}
