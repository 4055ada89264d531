package consent

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// peopleModel is the identity rules once more, written from the contract's text and as slow as it likes: a list of
// people, each a list of the names by which they are known.
type peopleModel struct {
	everybody []*human
}

type human struct {
	names  []Identifier
	merged *human // who this anonymous one turned out to be
}

func (w *peopleModel) whoHas(name Identifier) *human {
	for _, h := range w.everybody {
		if slices.Contains(h.names, name) {
			return h
		}
	}
	return nil
}

func (h *human) isAnonymous() bool {
	for _, name := range h.names {
		if name.Kind != AnonymousID {
			return false
		}
	}
	return true
}

// strengths is the order of the contract; a kind that it does not list stands where its file says.
var strengths = []IdentifierKind{UserID, ProjectUserID, Username, Email, Phone, AnonymousID}

func strengthOf(k IdentifierKind, emailFirst bool) int {
	if emailFirst && k == Email {
		return -1
	}
	return slices.Index(strengths, k)
}

// write applies the three rules to the identifiers of one write.
func (w *peopleModel) write(given []Identifier, emailFirst bool) *human {
	// 1. The strongest that is known names the candidate.
	var candidate *human
	matching := 0
	for _, name := range given {
		owner, strength := w.whoHas(name), strengthOf(name.Kind, emailFirst)
		if owner != nil && (candidate == nil || strength < matching) {
			candidate, matching = owner, strength
		}
	}
	// 2. The candidate is the person if it has no other value of any given kind that is stronger.
	if candidate != nil {
		for _, name := range given {
			if strengthOf(name.Kind, emailFirst) < matching && candidate.hasOtherThan(name) {
				candidate = nil
				break
			}
		}
	}
	if candidate == nil {
		candidate = &human{}
		w.everybody = append(w.everybody, candidate)
	}
	// 3. What nobody has is attached; what an anonymous one has comes with all of that one.
	for _, name := range w.ranked(given, emailFirst) {
		owner := w.whoHas(name)
		switch {
		case owner == candidate:
		case owner == nil:
			alone := name.Kind == UserID || name.Kind == ProjectUserID
			if !alone || !candidate.hasOtherThan(name) {
				candidate.names = append(candidate.names, name)
			}
		case owner.isAnonymous():
			candidate.names = append(candidate.names, owner.names...)
			owner.names, owner.merged = nil, candidate
		}
	}
	return candidate
}

func (w *peopleModel) ranked(given []Identifier, emailFirst bool) []Identifier {
	out := slices.Clone(given)
	slices.SortStableFunc(out, func(a, b Identifier) int {
		return strengthOf(a.Kind, emailFirst) - strengthOf(b.Kind, emailFirst)
	})
	return out
}

func (h *human) hasOtherThan(name Identifier) bool {
	for _, has := range h.names {
		if has.Kind == name.Kind && has.Project == name.Project && has.Value != name.Value {
			return true
		}
	}
	return false
}

// drawGiven draws the identifiers of one write from a small set, so that people meet; several says that there may be
// more than one e-mail address and phone number.
func drawGiven(t *rapid.T, several bool) (given []Identifier, project int) {
	project = rapid.IntRange(1, 2).Draw(t, "project")
	for len(given) == 0 {
		for _, kind := range rapid.Permutation(strengths).Draw(t, "order") {
			if rapid.IntRange(0, 2).Draw(t, "has") > 0 {
				continue
			}
			n := 1
			if several && (kind == Email || kind == Phone || kind == Username) {
				n = rapid.IntRange(1, 2).Draw(t, "of kind")
			}
			for _, value := range rapid.Permutation([]int{1, 2, 3}).Draw(t, "values")[:n] {
				given = append(given, Identifier{Kind: kind, Value: valueOf(kind, value)})
			}
		}
	}
	return given, project
}

func valueOf(kind IdentifierKind, n int) string {
	switch kind {
	case Email:
		return fmt.Sprintf("person%d@example.com", n)
	case Phone:
		return fmt.Sprintf("+1650253000%d", n)
	case AnonymousID:
		return ID{15: byte(n)}.String()
	}
	return fmt.Sprintf("%s-%d", kind, n)
}

// TestIdentityRules holds the rules against the slow model over random writes.
func TestIdentityRules(t *testing.T) {
	for _, several := range []bool{false, true} {
		t.Run(fmt.Sprintf("several=%t", several), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { holdAgainstModel(t, several) })
		})
	}
}

func holdAgainstModel(t *rapid.T, several bool) {
	organization := ID{1}
	w, p := &peopleModel{}, NewPeople()
	ids := map[*human]ID{}
	made := byte(0)
	for range rapid.IntRange(1, 25).Draw(t, "writes") {
		given, project := drawGiven(t, several)
		emailFirst := rapid.Bool().Draw(t, "email first")
		ranked, err := PrepareIdentifiers(given, project, emailFirst)
		if err != nil {
			t.Fatal(err)
		}
		before := ownersOf(p)
		wasAnonymous := map[ID]bool{}
		for _, owner := range before {
			wasAnonymous[owner] = p.anonymous(organization, owner)
		}
		found := p.Identify(organization, ranked, func() ID { made++; return ID{14: 1, 15: made} })
		want := w.write(ranked, emailFirst)
		if ids[want] == NoID && found.Created {
			ids[want] = found.Subject
		}
		if ids[want] != found.Subject {
			t.Fatalf("%v is %s, by the model %s (%v)", ranked, found.Subject, ids[want], want)
		}
		strongest := OwnedName{Organization: organization, Identifier: ranked[0]}
		if owner := before[strongest]; owner != NoID && owner != found.Subject {
			t.Fatalf("%v is %s, though its strongest identifier was %s's", ranked, found.Subject, owner)
		}
		checkPeople(t, p, w, ids, organization)
		for name, owner := range before {
			if now := p.owners[name]; now != owner && !(wasAnonymous[owner] && now == found.Subject) {
				t.Fatalf("%v went from %s to %s", name, owner, now)
			}
		}
	}
}

func ownersOf(p *People) map[OwnedName]ID {
	out := make(map[OwnedName]ID, len(p.owners))
	for name, owner := range p.owners {
		out[name] = owner
	}
	return out
}

// checkPeople compares who is who, and checks what must hold whatever was written.
func checkPeople(t *rapid.T, p *People, w *peopleModel, ids map[*human]ID, organization ID) {
	n := 0
	for _, h := range w.everybody {
		n += len(h.names)
		for _, name := range h.names {
			if got := p.owners[OwnedName{Organization: organization, Identifier: name}]; got != ids[h] {
				t.Fatalf("%v belongs to %s, by the model to %s", name, got, ids[h])
			}
		}
	}
	if n != len(p.owners) {
		t.Fatalf("%d identifiers have an owner, by the model %d", len(p.owners), n)
	}
	for key, names := range p.known {
		single := map[string]bool{}
		for _, name := range names {
			if p.owners[OwnedName{Organization: organization, Identifier: name}] != key.Subject {
				t.Fatalf("%s has %v, which is another's", key.Subject, name)
			}
			if name.Kind != UserID && name.Kind != ProjectUserID {
				continue
			}
			if is := fmt.Sprint(name.Kind, name.Project); single[is] {
				t.Fatalf("%s has two of %s: %v", key.Subject, is, names)
			} else {
				single[is] = true
			}
		}
	}
}

// TestIdentityExamples are the contract's own examples and what follows from them.
func TestIdentityExamples(t *testing.T) {
	user := func(s string) Identifier { return Identifier{Kind: UserID, Value: s} }
	mail := func(s string) Identifier { return Identifier{Kind: Email, Value: s + "@example.com"} }
	phone := Identifier{Kind: Phone, Value: "+16502530000"}
	provider := Identifier{Kind: ProjectUserID, Value: "p"}
	browser := Identifier{Kind: AnonymousID, Value: ID{1}.String()}
	for _, tc := range []struct {
		name       string
		writes     [][]Identifier
		emailFirst bool
		want       []int // whose each write is, by number of the write that made the person
	}{
		{"user b with the phone of user a", [][]Identifier{{user("a"), phone}, {user("b"), phone}, {phone}, {user("b")}},
			false, []int{0, 1, 0, 1}},
		{"known by e-mail, now signs in", [][]Identifier{{mail("a")}, {user("a"), mail("a")}, {user("a")}}, false,
			[]int{0, 0, 0}},
		{"a family's inbox", [][]Identifier{{user("a"), mail("x")}, {user("b"), mail("x")}, {mail("x")}}, false,
			[]int{0, 1, 0}},
		{"a browser signs in", [][]Identifier{{browser}, {user("a"), browser}, {browser}}, false, []int{0, 0, 0}},
		{"a browser meets somebody known", [][]Identifier{{browser}, {user("a")}, {user("a"), browser}, {browser}}, false,
			[]int{0, 1, 1, 1}},
		{"a browser of another stays", [][]Identifier{{user("a"), browser}, {user("b"), browser}, {browser}}, false,
			[]int{0, 1, 0}},
		{"people named by e-mail", [][]Identifier{{mail("a"), provider}, {mail("b"), provider}, {mail("b")}, {mail("a")}},
			true, []int{0, 1, 1, 0}},
		{"the provider's id is attached", [][]Identifier{{mail("a")}, {mail("a"), provider}, {provider}}, true,
			[]int{0, 0, 0}},
		{"two e-mails, one phone", [][]Identifier{{mail("a"), phone}, {mail("b"), phone}, {mail("b")}}, false,
			[]int{0, 1, 1}},
		{"a second e-mail in one write", [][]Identifier{{mail("a")}, {mail("b"), mail("a")}, {mail("b")}}, false,
			[]int{0, 0, 0}},
	} {
		p, made := NewPeople(), 0
		for i, given := range tc.writes {
			ranked, err := PrepareIdentifiers(given, 1, tc.emailFirst)
			if err != nil {
				t.Fatal(err)
			}
			made = i
			found := p.Identify(ID{1}, ranked, func() ID { return ID{14: 1, 15: byte(made)} })
			if got := int(found.Subject[15]); got != tc.want[i] {
				t.Errorf("%s: write %d is of person %d, want %d", tc.name, i, got, tc.want[i])
			}
		}
	}
}
