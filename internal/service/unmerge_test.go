package service_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// mergeModel knows, of a tenant whose people merge and are taken apart again, who is whom and who has which name. It
// goes through everybody each time, and learns from the store only what writes did, whose rules have a model of their
// own.
type mergeModel struct {
	*tenant
	into   map[consent.ID]consent.ID              // who stands for a subject that is merged, directly
	names  map[consent.OwnedName]consent.ID       // who has a name
	origin map[consent.OwnedName]consent.ID       // who had it first
	merges map[[2]consent.ID]consent.SubjectMerge // that stand, by into and from
}

// who gives the person that a subject is now.
func (m *mergeModel) who(id consent.ID) consent.ID {
	for m.into[id] != consent.NoID {
		id = m.into[id]
	}
	return id
}

// ids gives all subjects that there are, each once.
func (m *mergeModel) ids() []consent.ID {
	var all []consent.ID
	for _, id := range m.people {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	for id := range m.into {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	slices.SortFunc(all, func(a, b consent.ID) int { return bytes.Compare(a[:], b[:]) })
	return all
}

// within gives a subject and all who were merged into it, at any remove.
func (m *mergeModel) within(id consent.ID) (members []consent.ID) {
	for _, one := range m.ids() {
		for at := one; at != consent.NoID; at = m.into[at] {
			if at == id {
				members = append(members, one)
			}
		}
	}
	return members
}

// pool are all names that writes may give.
func (m *mergeModel) pool() (names []consent.OwnedName) {
	for _, kind := range allKinds {
		for n := 1; n <= 3; n++ {
			id := consent.Identifier{Kind: kind, Value: valueOf(kind, n)}
			if kind == consent.ProjectUserID {
				id.Project = 1
			}
			names = append(names, consent.OwnedName{Organization: m.actor.Organization, Identifier: id})
		}
	}
	return names
}

func (m *mergeModel) owners(t tester) (owners []consent.ID) {
	m.view(t, func(r service.Reader) (err error) {
		owners, err = r.Owners(context.Background(), m.pool())
		return err
	})
	return owners
}

// write has a deed written, and learns who was named by it and which browsers signed in.
func (m *mergeModel) write(t tester, d deed) {
	if !d.expires.IsZero() && d.at.IsZero() {
		d.expires = d.expires.Add(m.clock.now().Sub(noon))
	}
	m.apart(t, []deed{d})
	person := m.people[len(m.people)-1]
	for i, owner := range m.owners(t) {
		if name := m.pool()[i]; owner != m.names[name] {
			if was := m.names[name]; was != consent.NoID {
				m.into[was] = owner
			} else {
				m.origin[name] = owner
			}
			m.names[name] = owner
		}
	}
	m.view(t, func(r service.Reader) error {
		key := consent.SubjectKey{Organization: m.actor.Organization, Subject: person}
		merges, err := r.Merges(context.Background(), []consent.SubjectKey{key})
		for _, one := range merges[key] {
			m.into[one.From] = one.Into
			m.merges[[2]consent.ID{one.Into, one.From}] = one
		}
		return err
	})
}

// merge merges two subjects, of whatever ids.
func (m *mergeModel) merge(t tester, id, other consent.ID) {
	into, from := m.who(id), m.who(other)
	conflict := false
	for name, owner := range m.names {
		for with, is := range m.names {
			conflict = conflict || owner == into && is == from && (name.Kind == consent.UserID ||
				name.Kind == consent.ProjectUserID) && name.Kind == with.Kind
		}
	}
	in := consent.MergeSubjects{Subject: id, Other: other}
	said := []map[string]consent.Consent{m.says(t, into), m.says(t, from)}
	in.DryRun = true
	dry, err := m.svc.MergeSubjects(context.Background(), m.actor, in)
	in.DryRun = false
	merged, err2 := m.svc.MergeSubjects(context.Background(), m.actor, in)
	switch {
	case id == other:
		isKind(t, "a subject with itself", err2, consent.Unprocessable, "subject_id")
		isKind(t, "a subject with itself, dry", err, consent.Unprocessable, "subject_id")
		return
	case into == from:
		if err != nil || err2 != nil || len(merged.Changes) != 0 {
			t.Fatalf("who are one already: %v, %v", err, err2)
		}
		return
	case conflict:
		isKind(t, "two user ids", err, consent.Conflict, "")
		isKind(t, "two user ids, dry", err2, consent.Conflict, "")
		return
	case err != nil || err2 != nil:
		t.Fatalf("merge: %v, %v", err, err2)
	}
	m.into[from] = into
	for name, owner := range m.names {
		if owner == from {
			m.names[name] = into
		}
	}
	m.view(t, func(r service.Reader) error {
		key := consent.SubjectKey{Organization: m.actor.Organization, Subject: into}
		merges, err := r.Merges(context.Background(), []consent.SubjectKey{key})
		for _, one := range merges[key] {
			m.merges[[2]consent.ID{one.Into, one.From}] = one
		}
		return err
	})
	m.checkMerge(t, said, m.says(t, into), dry, merged)
}

// checkMerge holds what a merge made of two people's consents, and what it and its dry run told, against the rule that
// no no becomes a yes.
func (m *mergeModel) checkMerge(t tester, before []map[string]consent.Consent, after map[string]consent.Consent,
	dry, merged *consent.MergedSubjects) {
	told := func(of *consent.MergedSubjects) (all []string) {
		for _, c := range of.Changes {
			all = append(all, fmt.Sprint(c.Subject, c.PurposeKey, c.Before.State, c.After.State, c.After.Event))
			if now := after[c.PurposeKey]; now.Event != c.After.Event || now.State != c.After.State {
				t.Fatalf("told of %s: %+v, and it is %+v", c.PurposeKey, c.After, now)
			}
		}
		return all
	}
	if a, b := told(dry), told(merged); !slices.Equal(a, b) {
		t.Fatalf("the dry run told %v, the merge %v", a, b)
	}
	now := m.clock.now()
	for purpose, c := range after {
		for _, of := range before {
			was := of[purpose]
			if was.SaysNo(now) && !c.SaysNo(now) {
				t.Fatalf("%s was %+v and is %+v", purpose, was, c)
			}
		}
	}
}

// says gives what a subject decided, by purpose.
func (m *mergeModel) says(t tester, id consent.ID) map[string]consent.Consent {
	said := map[string]consent.Consent{}
	m.view(t, func(r service.Reader) error {
		d, err := r.Catalog(context.Background(), m.actor.Organization)
		if err != nil {
			return err
		}
		key := consent.SubjectKey{Organization: m.actor.Organization, Subject: id}
		all, err := r.ConsentsOf(context.Background(), []consent.SubjectKey{key})
		for _, c := range all[key] {
			said[d.PurposeNumbered(c.Project, c.Purpose).Key] = c
		}
		return err
	})
	return said
}

// unmerge takes two subjects apart, of whatever ids.
func (m *mergeModel) unmerge(t tester, id, other consent.ID) {
	into := m.who(id)
	apart, err := m.svc.UnmergeSubjects(context.Background(), m.actor, consent.UnmergeSubjects{Subject: id, Other: other})
	switch {
	case id == other:
		isKind(t, "a subject from itself", err, consent.Unprocessable, "subject_id")
		return
	case m.into[other] != into:
		isKind(t, "who is not merged into that one", err, consent.Conflict, "")
		return
	case err != nil:
		t.Fatalf("unmerge: %v", err)
	}
	goes := m.within(other)
	merge := m.merges[[2]consent.ID{into, other}]
	delete(m.merges, [2]consent.ID{into, other})
	delete(m.into, other)
	var back []consent.Identifier
	for name, owner := range m.names {
		if owner == into && slices.Contains(goes, m.origin[name]) {
			m.names[name] = other
			back = append(back, name.Identifier)
		}
	}
	if apart.Subject.ID != into || apart.Other.ID != other || len(apart.Other.Identifiers) != len(back) {
		t.Fatalf("apart they are %+v and %+v; %v went back", apart.Subject, apart.Other, back)
	}
	m.checkHeard(t, into, merge, append(back, consent.Identifier{Kind: consent.AnonymousID, Value: other.String()}))
}

// checkHeard asks by the names that went back what the one who stays said no to while they were one.
func (m *mergeModel) checkHeard(t tester, stays consent.ID, merge consent.SubjectMerge, back []consent.Identifier) {
	sequences := map[consent.ID]int64{}
	for _, e := range m.events(t, m.actor) {
		if e.Subject == stays {
			sequences[e.ID] = e.Sequence
		}
	}
	for purpose, c := range m.says(t, stays) {
		if !c.SaysNo(m.clock.now()) || sequences[c.Event] <= merge.After {
			continue
		}
		for _, id := range back {
			if got := m.person(t, m.actor, id).Consents[purpose]; !got.SaysNo(m.clock.now()) {
				t.Fatalf("%s %s was taken back while they were one; asked by %s it is %+v", stays, purpose, id.Kind, got)
			}
		}
	}
}

// check holds the store against the model: who has which name, which subject is whom, whose history has what, and what
// everybody's consents are, that of those who are merged too.
func (m *mergeModel) check(t tester) {
	for i, owner := range m.owners(t) {
		if name := m.pool()[i]; owner != m.names[name] {
			t.Fatalf("%s %s is %s, by the model %s", name.Kind, name.Value, m.label(owner), m.label(m.names[name]))
		}
	}
	all := m.events(t, m.actor)
	for _, id := range m.ids() {
		view, err := m.svc.SubjectByID(context.Background(), m.actor, id)
		if err != nil || view.ID != m.who(id) {
			t.Fatalf("%s is %v, by the model %s (%v)", m.label(id), view, m.label(m.who(id)), err)
		}
		members := m.within(id)
		var events []consent.Event
		for _, e := range all {
			if slices.Contains(members, e.Subject) {
				events = append(events, e.Event)
			}
		}
		var merges []consent.SubjectMerge
		for _, merge := range m.merges {
			if slices.Contains(members, merge.From) && merge.From != id {
				merges = append(merges, merge)
			}
		}
		m.checkFold(t, id, events, merges)
		if own := (consent.Identifier{Kind: consent.AnonymousID, Value: id.String()}); id == m.who(id) &&
			len(m.claimants(t, own)) == 0 {
			if n := len(m.events(t, m.actor, own)); n != len(events) {
				t.Fatalf("the history of %s has %d events, by the model %d", m.label(id), n, len(events))
			}
		}
	}
	m.checkConsents(t, m.actor.Organization)
}

func (m *mergeModel) claimants(t tester, id consent.Identifier) (found []consent.ID) {
	m.view(t, func(r service.Reader) error {
		all, err := r.Claimants(context.Background(), []consent.OwnedName{{Organization: m.actor.Organization,
			Identifier: id}})
		found = all[0]
		return err
	})
	return found
}

// checkFold holds each consent of a subject against its own events with the merges that stand.
func (m *mergeModel) checkFold(t tester, id consent.ID, events []consent.Event, merges []consent.SubjectMerge) {
	byPurpose := map[int][]consent.Event{}
	for _, e := range events {
		byPurpose[e.Purpose] = append(byPurpose[e.Purpose], e)
	}
	says := m.says(t, id)
	if len(says) != len(byPurpose) {
		t.Fatalf("%s has %d consents, and events of %d purposes", m.label(id), len(says), len(byPurpose))
	}
	for purpose, c := range says {
		if err := consent.CheckConsent(&c, byPurpose[c.Purpose], merges); err != nil {
			t.Fatalf("%s on %s: %v", m.label(id), purpose, err)
		}
	}
}

// TestMergesAreUndone mixes writes, among them sign-ins, with merges and their undoing, and holds all of it against the
// model.
func TestMergesAreUndone(t *testing.T) {
	h := newHarness(t)
	merged, undone := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		h.clock.set(noon)
		m := &mergeModel{tenant: h.tenant(t), into: map[consent.ID]consent.ID{},
			names: map[consent.OwnedName]consent.ID{}, origin: map[consent.OwnedName]consent.ID{},
			merges: map[[2]consent.ID]consent.SubjectMerge{}}
		for range rapid.IntRange(3, 6).Draw(t, "writes") {
			m.write(t, drawDeed(t, len(m.people)))
		}
		for range rapid.IntRange(3, 12).Draw(t, "deeds") {
			h.clock.add(time.Duration(rapid.IntRange(0, 2).Draw(t, "later")) * 30 * time.Second)
			ids, stand := m.ids(), len(m.merges) // chance made them, so they are drawn by number
			a := ids[rapid.IntRange(0, len(ids)-1).Draw(t, "one")]
			b := ids[rapid.IntRange(0, len(ids)-1).Draw(t, "other")]
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				m.write(t, drawDeed(t, len(m.people)))
			case 2, 3:
				m.merge(t, a, b)
			default:
				for _, pair := range m.standing() { // one that stands, more often than not
					if rapid.Bool().Draw(t, "this one") {
						a, b = pair[0], pair[1]
					}
				}
				m.unmerge(t, a, b)
			}
			merged, undone = merged+max(0, len(m.merges)-stand), undone+max(0, stand-len(m.merges))
			m.check(t)
		}
		if faults := m.audit(t, m.actor); faults != "" {
			t.Fatalf("an audit tells\n%s", faults)
		}
	})
	if (merged == 0 || undone == 0) && !testing.Short() { // a fifth of the draws may have none
		t.Errorf("%d merges, %d of them undone", merged, undone)
	}
}

func (m *mergeModel) standing() (pairs [][2]consent.ID) {
	for pair := range m.merges {
		pairs = append(pairs, pair)
	}
	slices.SortFunc(pairs, func(a, b [2]consent.ID) int { return bytes.Compare(a[1][:], b[1][:]) })
	return pairs
}
