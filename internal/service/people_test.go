package service_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/service"

	_ "modernc.org/sqlite"
	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/sqlite"
)

var allKinds = []consent.IdentifierKind{consent.UserID, consent.ProjectUserID, consent.Username, consent.Email,
	consent.Phone, consent.AnonymousID}

func valueOf(kind consent.IdentifierKind, n int) string {
	switch kind {
	case consent.Email:
		return fmt.Sprintf("person%d@example.com", n)
	case consent.Phone:
		return fmt.Sprintf("+1650253000%d", n)
	case consent.AnonymousID:
		return consent.ID{15: byte(n)}.String()
	}
	return fmt.Sprintf("%s-%d", kind, n)
}

// deed is one item of a write, in the words of a test: own, where it is not negative, stands for the
// own id of the person of an earlier write.
type deed struct {
	given      []consent.Identifier
	own        int
	emailFirst bool
	purpose    string
	state      consent.State
	action     consent.Action
	at         time.Time
	expires    time.Time
	replace    []string
}

func drawDeed(t *rapid.T, earlier int) deed {
	d := deed{own: -1, emailFirst: rapid.Bool().Draw(t, "email first")}
	for _, kind := range allKinds {
		if rapid.IntRange(0, 2).Draw(t, "has") == 0 {
			d.given = append(d.given, consent.Identifier{Kind: kind, Value: valueOf(kind,
				rapid.IntRange(1, 3).Draw(t, "value"))})
		}
	}
	anonymous := len(d.given) > 0 && d.given[len(d.given)-1].Kind == consent.AnonymousID
	if len(d.given) == 0 || !anonymous && rapid.Bool().Draw(t, "own id") {
		if earlier > 0 {
			d.own = rapid.IntRange(0, earlier-1).Draw(t, "whose")
		} else if len(d.given) == 0 {
			d.given = named(consent.AnonymousID, valueOf(consent.AnonymousID, 1))
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "overwrites") == 0 {
		d.replace = append(drawSet(t), consent.Analytics)
		return d
	}
	d.purpose = rapid.SampledFrom([]string{consent.Analytics, consent.Marketing, "made on first use"}).Draw(t, "purpose")
	d.state = rapid.SampledFrom([]consent.State{consent.Accepted, consent.Declined, consent.Withdrawn, consent.Implied,
		consent.Viewed}).Draw(t, "state")
	d.action = rapid.SampledFrom([]consent.Action{consent.UserClick, consent.UserClick, consent.ImpliedAction,
		consent.Import}).Draw(t, "action")
	if rapid.Bool().Draw(t, "dated") {
		d.at = noon.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "minute")) * time.Minute)
	}
	if life := rapid.IntRange(0, 4).Draw(t, "life"); life > 0 {
		d.expires = noon.Add(time.Duration(life) * time.Minute)
		if !d.at.IsZero() {
			d.expires = d.at.Add(time.Duration(life) * time.Minute)
		}
	}
	return d
}

func (d deed) item(own []consent.ID) consent.Item {
	given := append([]consent.Identifier(nil), d.given...)
	if d.own >= 0 {
		given = append(given, consent.Identifier{Kind: consent.AnonymousID, Value: own[d.own].String()})
	}
	it := consent.Item{Identifiers: given, EmailFirst: d.emailFirst}
	if d.replace != nil {
		it.Replace = &consent.Replacement{Among: among, Granted: d.replace, Action: consent.UserClick}
		return it
	}
	it.Decisions = []consent.Decision{{Purpose: consent.PurposeRef{Key: d.purpose, Create: true}, State: d.state,
		Action: d.action, OccurredAt: d.at, ExpiresAt: d.expires}}
	return it
}

// TestBatchesDoNotMatter writes the same decisions once as one batch and once one by one: the people, their
// consents, the ledger and the counts come out the same.
func TestBatchesDoNotMatter(t *testing.T) {
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		h.clock.set(noon)
		one, many := h.tenant(t), h.tenant(t)
		for range rapid.IntRange(0, 6).Draw(t, "before") {
			d := drawDeed(t, len(one.people))
			one.apart(t, []deed{d})
			many.apart(t, []deed{d})
		}
		var deeds []deed
		for range rapid.IntRange(1, 8).Draw(t, "deeds") {
			deeds = append(deeds, drawDeed(t, len(one.people)))
		}
		one.together(t, deeds)
		many.apart(t, deeds)
		compareTenants(t, one, many)
	})
}

// tenant is an organization with the people that its writes made or met, in order.
type tenant struct {
	*harness
	actor     consent.Actor
	people    []consent.ID
	anonymous []string
}

func (h *harness) tenant(t tester) *tenant { return &tenant{harness: h, actor: h.organization(t)} }

func (w *tenant) note(r *consent.Recorded) {
	for _, it := range r.Items {
		w.people = append(w.people, it.Subject)
		w.anonymous = append(w.anonymous, it.AnonymousID)
	}
}

func (w *tenant) together(t tester, deeds []deed) {
	items := make([]consent.Item, len(deeds))
	for i := range deeds {
		items[i] = deeds[i].item(w.people)
	}
	w.note(w.record(t, w.actor, items...))
}

func (w *tenant) apart(t tester, deeds []deed) {
	for _, d := range deeds {
		w.note(w.record(t, w.actor, d.item(w.people)))
	}
}

// label names a person by the first write that met it.
func (w *tenant) label(id consent.ID) string {
	for i, p := range w.people {
		if p == id {
			return fmt.Sprintf("person %d", i)
		}
	}
	if id == consent.NoID {
		return "nobody"
	}
	return "a stranger"
}

// labels names people, in order.
func (w *tenant) labels(ids []consent.ID) (out []string) {
	for _, id := range ids {
		out = append(out, w.label(id))
	}
	slices.Sort(out)
	return out
}

// describe tells all that can be known of a tenant, without the ids that chance made.
func (w *tenant) describe(t tester) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	var names []consent.OwnedName
	for _, kind := range allKinds {
		for n := 1; n <= 3; n++ {
			id := consent.Identifier{Kind: kind, Value: valueOf(kind, n)}
			if kind == consent.ProjectUserID {
				id.Project = 1
			}
			names = append(names, consent.OwnedName{Organization: w.actor.Organization, Identifier: id})
		}
	}
	known := len(names)
	for _, id := range w.people {
		names = append(names, consent.OwnedName{Organization: w.actor.Organization,
			Identifier: consent.Identifier{Kind: consent.AnonymousID, Value: id.String()}})
	}
	w.view(t, func(r service.Reader) error {
		owners, err := r.Owners(context.Background(), names)
		for i, owner := range owners {
			if i < known {
				say("%s %s is %s", names[i].Kind, names[i].Value, w.label(owner))
			} else {
				say("own id %d is %s", i-known, w.label(owner))
			}
		}
		claimants, err3 := r.Claimants(context.Background(), names)
		for i, of := range claimants {
			for _, label := range w.labels(of) {
				name := names[i].Value
				if i >= known {
					name = fmt.Sprint("own id ", i-known)
				}
				say("%s %s is claimed by %s", names[i].Kind, name, label)
			}
		}
		heads, err2 := r.Heads(context.Background(), []consent.ID{w.actor.Organization})
		say("sequence %d", heads[w.actor.Organization].Sequence)
		return errors.Join(err, err2, err3)
	})
	for i, id := range w.anonymous {
		if parsed, _ := consent.ParseID(id); w.label(parsed) != "a stranger" {
			id = "own id of " + w.label(parsed)
		}
		say("write %d is of %s, anonymous %s", i, w.label(w.people[i]), id)
	}
	sequences := map[consent.ID]int64{} // among decisions: a write makes all its purposes before them
	for i, e := range w.events(t, w.actor) {
		sequences[e.ID] = int64(i + 1)
		say("event %d: %s %s %s at %v until %v after %d", i+1, w.label(e.Subject), e.PurposeOf.Key, e.State, e.OccurredAt,
			e.ExpiresAt, sequences[e.Previous])
	}
	seen := map[consent.ID]bool{}
	for _, id := range w.people {
		if seen[id] {
			continue
		}
		seen[id] = true
		out = append(out, w.describePerson(t, id, sequences)...)
	}
	return append(out, w.merges(t)...)
}

func (w *tenant) describePerson(t tester, id consent.ID, sequences map[consent.ID]int64) (out []string) {
	own := consent.Identifier{Kind: consent.AnonymousID, Value: id.String()}
	for _, e := range w.events(t, w.actor, own) {
		out = append(out, fmt.Sprintf("history of %s has %d", w.label(id), sequences[e.ID]))
	}
	w.view(t, func(r service.Reader) error {
		key := consent.SubjectKey{Organization: w.actor.Organization, Subject: id}
		all, err := r.ConsentsOf(context.Background(), []consent.SubjectKey{key})
		for _, c := range all[key] {
			out = append(out, fmt.Sprintf("%s stands on %d: %s by %d, last %d, grants %t since %v, %v to %v", w.label(id),
				c.Purpose,
				c.State, sequences[c.Event], sequences[c.Last], c.Grants, c.Since, c.OccurredAt, c.ExpiresAt))
		}
		return err
	})
	return out
}

// merges reads what was recorded of merges from the database itself: no call shows it. It says after how many decisions
// each was.
func (w *tenant) merges(t tester) (out []string) {
	db, err := sql.Open("sqlite", filepath.Join(w.folder, sqlite.FileName))
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT into_id, from_id, (SELECT count(*) FROM events e
		WHERE e.organization_id = m.organization_id AND e.sequence <= m.after_sequence)
		FROM subject_merges m WHERE organization_id = $1`, w.actor.Organization[:])
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer rows.Close()
	for rows.Next() {
		var into, from []byte
		var after int64
		if err := rows.Scan(&into, &from, &after); err != nil {
			t.Fatalf("%v", err)
		}
		out = append(out, fmt.Sprintf("%s turned out to be %s after %d", w.label(consent.ID(from)), w.label(consent.ID(into)),
			after))
	}
	slices.Sort(out)
	return out
}

func compareTenants(t *rapid.T, one, many *tenant) {
	a, b := one.describe(t), many.describe(t)
	for i := range max(len(a), len(b)) {
		var left, right string
		if i < len(a) {
			left = a[i]
		}
		if i < len(b) {
			right = b[i]
		}
		if left != right {
			t.Fatalf("in one batch: %s\none by one:   %s", left, right)
		}
	}
	for _, w := range []*tenant{one, many} {
		w.checkConsents(t, w.actor.Organization)
	}
}

// checkConsents holds every current consent against all events that led to it.
func (h *harness) checkConsents(t tester, organization consent.ID) {
	t.Helper()
	file, err := sqlite.Inspect(h.folder)
	if err != nil {
		t.Fatalf("%v", err)
	}
	i := store.Inspect(file)
	defer i.Close()
	err = i.Consents(context.Background(), organization, 0, func(h *store.History) error {
		return consent.CheckConsent(h.Consent, h.Events, h.Merges)
	})
	if err != nil {
		t.Fatalf("a consent is not what its events say: %v", err)
	}
}

// rows counts an organization's rows of a table in the database itself.
func (h *harness) rows(t tester, table string, organization consent.ID) (n int64) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.folder, sqlite.FileName))
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT count(*) FROM `+table+` WHERE organization_id = $1`,
		organization[:]).Scan(&n); err != nil {
		t.Fatalf("%v", err)
	}
	return n
}

// TestOwnIDInTheBatchOfItsMerge: where a browser's person turns out to be somebody, the own id of that person
// names the somebody at once, in the same batch too.
func TestOwnIDInTheBatchOfItsMerge(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	anonymous := h.record(t, a, item(named(consent.AnonymousID, valueOf(consent.AnonymousID, 1)))).Items[0].Subject
	ada := h.record(t, a, item(user("ada"))).Items[0].Subject
	own := consent.Identifier{Kind: consent.AnonymousID, Value: anonymous.String()}
	got := h.record(t, a, item(append(user("ada"), own)), item([]consent.Identifier{own})).Items
	for i := range got {
		if got[i].Subject != ada || got[i].AnonymousID != own.Value {
			t.Errorf("item %d is of %s, anonymous %s; want %s, %s", i, got[i].Subject, got[i].AnonymousID, ada, own.Value)
		}
	}
	if n := len(h.events(t, a, user("ada")[0])); n != 4 {
		t.Errorf("the history has %d events of 4", n)
	}
}
