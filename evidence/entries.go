package evidence

import (
	"errors"
	"fmt"

	"github.com/consentd/consentd/ledger"
)

// list is entries that are no decisions, by the field that they are in, and what one of them is called.
type list struct {
	field, what string
	all         []Entry
}

// entry verifies that an entry of a list is in the ledger and says what was recorded then. Otherwise it is told.
func (v *verification) entry(of list, i int) bool {
	e, fails := &of.all[i], func(format string, args ...any) bool {
		v.fails(DataFile, 0, of.field, "%s", of.what+" "+fmt.Sprintf(format, args...))
		return false
	}
	if i > 0 && e.Index <= of.all[i-1].Index {
		fails("%d is there twice, or not in the order of the ledger.", i+1)
	}
	leaf, err := ledger.ParseLeaf(e.Leaf)
	switch {
	case err != nil:
		return fails("%d has no leaf that can be read: %v.", i+1, err)
	case len(e.BodySalt) != len(ledger.Salt{}),
		ledger.CommitBody(ledger.Salt(e.BodySalt), []byte(e.Body)) != leaf.Body:
		return fails("%d says (or its salt is) something else than was recorded then.", i+1)
	case e.Ident != "" && (len(e.IdentSalt) != len(ledger.Salt{}) ||
		ledger.CommitIdent(ledger.Salt(e.IdentSalt), []byte(e.Ident)) != leaf.Ident):
		return fails("%d names (or its salt is) something else than was recorded then.", i+1)
	case RecordedAt(leaf) != e.RecordedAt || e.Sequence != e.Index+1:
		return fails("%d was recorded at another time, or as another entry, than its leaf says.", i+1)
	}
	if err := ledger.VerifyInclusion(v.checkpoint, e.Index, leaf, e.Hashes); err != nil {
		return fails("%d is not shown to be in the ledger that was signed: %v.", i+1, err)
	}
	return true
}

// merges verifies that other subjects that decisions were recorded for are the person by entries of the ledger.
func (v *verification) merges() {
	if v.checkpoint == nil { // which is said
		return
	}
	before, merged := len(v.report.Checks), map[string][]string{}
	for i, e := range v.bundle.Merges {
		if !v.entry(list{"merges", "Merge", v.bundle.Merges}, i) {
			continue
		}
		from, to, err := readMerge(&e)
		if err != nil {
			v.fails(DataFile, 0, "merges", "What merge %d says cannot be read: %v.", i+1, err)
			continue
		}
		merged[to] = append(merged[to], from)
	}
	same := sameAs(v.bundle.Person.ID, merged)
	known, proved, word := map[string]bool{v.bundle.Person.ID: true}, 0, 0
	for i := range v.bundle.Decisions {
		subject := v.bundle.Decisions[i].Subject
		if known[subject] {
			continue
		}
		known[subject] = true
		if same[subject] {
			proved++
		} else if word++; word <= mostTold {
			v.note("That %.80q is the same person is the operator's word alone: the bundle lacks the ledger's entry of the "+
				"merge.", subject)
		}
	}
	if word > mostTold {
		v.note("So it is with %d other ids.", word-mostTold)
	}
	if proved > 0 {
		v.kind(before, "%d other ids for which decisions were recorded are the same person by entries of the ledger.", proved)
	}
}

// sameAs gives the person and all who were merged into them, at once or by way of others.
func sameAs(person string, merged map[string][]string) map[string]bool {
	same, next := map[string]bool{person: true}, []string{person}
	for len(next) > 0 {
		at := next[0]
		next = next[1:]
		for _, from := range merged[at] {
			if !same[from] {
				same[from] = true
				next = append(next, from)
			}
		}
	}
	return same
}

func readMerge(e *Entry) (from, into string, err error) {
	body, err := members(e.Body)
	if err != nil {
		return "", "", err
	}
	ident, err := members(e.Ident)
	if err != nil {
		return "", "", err
	}
	b, r := reader{of: body}, reader{of: ident}
	kind := b.text("entry")
	if from, into = r.text("from_id"), r.text("into_id"); kind != "merge" || from == "" || into == "" {
		return "", "", errors.New("it does not say who is whom")
	}
	return from, into, errors.Join(b.err, r.err)
}

// said verifies that the versions of purposes say what their entries in the ledger do.
func (v *verification) said() {
	if v.checkpoint == nil {
		return
	}
	before, said := len(v.report.Checks), map[versionKey]*Version{}
	for i, e := range v.bundle.Entries {
		if !v.entry(list{"entries", "Entry of a version", v.bundle.Entries}, i) {
			continue
		}
		version, err := readVersion(e.Body)
		if err != nil {
			v.fails(DataFile, 0, "entries", "What entry %d of a version says cannot be read: %v.", i+1, err)
			continue
		}
		said[version.key()] = version
	}
	proved, word := 0, 0
	for i := range v.bundle.Versions {
		is := &v.bundle.Versions[i]
		next := is.key()
		next.version++
		was, after := said[is.key()], said[next]
		if was == nil || after == nil && is.HeldTo != "" {
			if word++; word <= mostTold {
				v.note("What version %d of the purpose %.80q says, or how long it held, is the operator's word alone: the "+
					"bundle lacks the ledger's entry of it.", is.Version, is.Purpose)
			}
		} else {
			proved++
		}
		if after != nil && is.HeldTo != after.HeldFrom {
			v.unlike(is, "heldTo", after.HeldFrom)
		}
		if was != nil {
			v.sameVersion(is, was)
		}
	}
	if word > mostTold {
		v.note("So it is with %d other versions.", word-mostTold)
	}
	if proved > 0 {
		v.kind(before, "%d versions of purposes say what their entries in the ledger say.", proved)
	}
}

// sameVersion tells in which fields a version is not what its entry says.
func (v *verification) sameVersion(is, was *Version) {
	for _, field := range []struct{ name, is, was string }{{"name", is.Name, was.Name},
		{"description", is.Description, was.Description}, {"url", is.URL, was.URL},
		{"legalBasis", is.LegalBasis, was.LegalBasis}, {"heldFrom", is.HeldFrom, was.HeldFrom},
		{"legalText", is.LegalText, was.LegalText}, {"translations", is.Translations, was.Translations},
		{"requireReaccept", fmt.Sprint(is.RequireReaccept), fmt.Sprint(was.RequireReaccept)}} {
		if field.is != field.was {
			v.unlike(is, field.name, field.was)
		}
	}
}

func (v *verification) unlike(is *Version, field, was string) {
	v.fails(PurposesFile, 0, field, "Version %d of the purpose %.80q is not what the ledger says of it: %s was %.200q.",
		is.Version, is.Purpose, field, was)
}

// readVersion reads the body of an entry of a purpose.
func readVersion(body string) (*Version, error) {
	all, err := members(body)
	if err != nil {
		return nil, err
	}
	r, out := reader{of: all}, &Version{}
	out.Project, out.Purpose, out.Name = r.text("project"), r.text("purpose"), r.text("name")
	out.Description, out.URL, out.LegalBasis = r.text("description"), r.text("url"), r.text("legal_basis")
	out.HeldFrom, out.LegalText, out.Translations = r.text("held_from"), r.text("legal_text"), r.text("translations")
	r.into("version", &out.Version)
	r.into("require_reaccept", &out.RequireReaccept)
	if r.err == nil && (r.text("entry") != "purpose" || out.Version < 1) {
		return nil, errors.New("it is of no version of a purpose")
	}
	return out, r.err
}
