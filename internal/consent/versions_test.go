package consent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// told is a change of a purpose as it was told, for the slow model.
type told struct {
	at       time.Time
	basis    LegalBasis
	says     bool // it makes a version
	reaccept *bool
}

// slowVersion is a version of the slow model: it walks through what was told.
type slowVersion struct {
	from     time.Time
	basis    LegalBasis
	reaccept bool
}

func slowVersions(made time.Time, first bool, all []told) []slowVersion {
	versions := []slowVersion{{made, BasisConsent, first}}
	for _, change := range all {
		if change.says {
			from := change.at
			if last := versions[len(versions)-1].from; !from.After(last) {
				from = last.Add(time.Microsecond)
			}
			versions = append(versions, slowVersion{from: from, basis: change.basis})
		}
		if change.reaccept != nil {
			versions[len(versions)-1].reaccept = *change.reaccept
		}
	}
	return versions
}

func slowVersionAt(versions []slowVersion, at time.Time) (held int) {
	for i, v := range versions {
		if !v.from.After(at) {
			held = i + 1
		}
	}
	return held
}

func slowStale(versions []slowVersion, version, upTo int) bool {
	for i, v := range versions {
		if v.reaccept && i+1 > version && i+1 <= upTo {
			return true
		}
	}
	return false
}

// TestVersions changes a purpose in any way and holds its versions against the slow model.
func TestVersions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Bool().Draw(t, "first")
		p := (&Catalog{}).NewPurpose(1, ID{1}, noon, NewPurpose{Name: "Letter", RequireReaccept: first})
		var wording Wording
		var all []told
		at := noon
		for i := range rapid.IntRange(0, 12).Draw(t, "changes") {
			at = at.Add(time.Duration(rapid.IntRange(-2, 3).Draw(t, "later")) * time.Microsecond)
			change, one := PurposeChange{}, told{at: at}
			if rapid.Bool().Draw(t, "says") {
				one.says = true
				says := fmt.Sprint("other ", i)
				switch rapid.IntRange(0, 5).Draw(t, "what") {
				case 0:
					change.Name = &says
				case 1:
					change.Description = &says
				case 2:
					change.URL = &says
				case 3:
					change.Document = &says
				case 4:
					change.Texts = map[string]*TextChange{"de": {LegalText: &says}}
				case 5:
					basis := BasisContract
					if p.LegalBasis == basis {
						basis = BasisConsent
					}
					change.LegalBasis = &basis
				}
			} else {
				duration := Duration(fmt.Sprintf("P%dD", i+1))
				change.Duration = &duration
			}
			if rapid.Bool().Draw(t, "reaccept given") {
				reaccept := rapid.Bool().Draw(t, "reaccept")
				one.reaccept, change.RequireReaccept = &reaccept, &reaccept
			}
			to, now, changed, err := p.Change(&change, wording, at)
			if err != nil || !changed || to.Revision != p.Revision+1 {
				t.Fatalf("changed %t to revision %d: %v", changed, to.Revision, err)
			}
			one.basis = to.LegalBasis
			p, wording, all = to, now, append(all, one)
		}
		versions := slowVersions(noon, first, all)
		if err := p.CheckVersions(); err != nil || p.Version != len(versions) {
			t.Fatalf("version %d of %d: %v", p.Version, len(versions), err)
		}
		for n := range len(versions) + 2 {
			if got, want := p.Stale(n), slowStale(versions, n, len(versions)); got != want {
				t.Errorf("version %d: stale %t, want %t", n, got, want)
			}
			if got, want := p.HasVersion(n), n > 0 && n <= len(versions); got != want {
				t.Errorf("version %d: there %t, want %t", n, got, want)
			}
			var to time.Time
			if n < len(versions) {
				to = versions[n].from
			}
			if got := p.HeldTo(n); n > 0 && !got.Equal(to) {
				t.Errorf("version %d held to %v, want %v", n, got, to)
			}
		}
		for d := -3; d < 40; d++ {
			at := noon.Add(time.Duration(d) * time.Microsecond)
			held := slowVersionAt(versions, at)
			if got := p.versionAt(at); got != held {
				t.Errorf("at %v: version %d, want %d", at, got, held)
			}
			then := p.AsOf(at)
			if want := versions[max(held, 1)-1].basis; then.LegalBasis != want || then.Version != held {
				t.Errorf("at %v: version %d on %s, want %d on %s", at, then.Version, then.LegalBasis, held, want)
			}
			for n := range len(versions) + 1 {
				if got, want := then.Stale(n), slowStale(versions, n, held); got != want {
					t.Errorf("version %d at %v: stale %t, want %t", n, at, got, want)
				}
				d := PreparedDecision{Decision: Decision{OccurredAt: at, PurposeVersion: n}}
				if got, want := d.version(&p), min(n, held); n > 0 && got != want {
					t.Errorf("version %d named at %v: %d, want %d", n, at, got, want)
				}
			}
		}
		if p.versionAt(time.Time{}) != len(versions) {
			t.Error("the version of now is not the last one")
		}
	})
}

// TestChangeOfPurpose says which change makes a version.
func TestChangeOfPurpose(t *testing.T) {
	p := (&Catalog{}).NewPurpose(1, ID{1}, noon, NewPurpose{Key: "letter", Name: "Letter", Document: "We write.",
		Taxonomy: Taxonomy{"custom", "unclassified", "letter"}, RequireReaccept: true})
	was := Wording{Document: "We write.", Texts: Texts{"de": {Name: "Brief", LegalText: "Wir schreiben."}}}
	basis, duration, yes, no := BasisContract, Duration("P1M"), true, false
	text := func(s string) *string { return &s }
	de := func(c *TextChange) map[string]*TextChange { return map[string]*TextChange{"DE": c} }
	for _, tc := range []struct {
		name             string
		change           PurposeChange
		version          int
		changed, require bool
	}{
		{"nothing", PurposeChange{}, 1, false, true},
		{"the same", PurposeChange{Name: text("Letter"), Document: text("We write."), RequireReaccept: &yes,
			Texts: de(&TextChange{Name: text("Brief")})}, 1, false, true},
		{"a language less that is not there", PurposeChange{Texts: map[string]*TextChange{"fr": nil}}, 1, false, true},
		{"duration", PurposeChange{Duration: &duration}, 1, true, true},
		{"status", PurposeChange{Status: text("archived")}, 1, true, true},
		{"required", PurposeChange{Required: &yes}, 1, true, true},
		{"label", PurposeChange{Label: text("mail")}, 1, true, true},
		{"reaccept alone", PurposeChange{RequireReaccept: &no}, 1, true, false},
		{"name", PurposeChange{Name: text("Letters")}, 2, true, false},
		{"description", PurposeChange{Description: text("x")}, 2, true, false},
		{"url", PurposeChange{URL: text("https://x")}, 2, true, false},
		{"legal basis", PurposeChange{LegalBasis: &basis}, 2, true, false},
		{"legal text, to be accepted", PurposeChange{Document: text("We write a lot."), RequireReaccept: &yes}, 2, true,
			true},
		{"no legal text", PurposeChange{Document: text("")}, 2, true, false},
		{"a text", PurposeChange{Texts: de(&TextChange{LegalText: text("Wir schreiben oft.")})}, 2, true, false},
		{"a text less", PurposeChange{Texts: de(nil)}, 2, true, false},
		{"no texts", PurposeChange{RemoveTexts: true}, 2, true, false},
		{"removed and said again", PurposeChange{RemoveTexts: true, Texts: de(&TextChange{Name: text("Brief"),
			LegalText: text("Wir schreiben.")})}, 1, false, true},
	} {
		to, _, changed, err := p.Change(&tc.change, was, noon.Add(time.Hour))
		if err != nil || to.Version != tc.version || changed != tc.changed || to.RequireReaccept != tc.require {
			t.Errorf("%s: version %d, changed %t, reaccept %t, %v", tc.name, to.Version, changed, to.RequireReaccept, err)
		}
		if revision := map[bool]int{false: 1, true: 2}[changed]; to.Revision != revision {
			t.Errorf("%s: revision %d", tc.name, to.Revision)
		}
		if p.Version != 1 || len(p.Earlier) != 0 || len(was.Texts) != 1 {
			t.Fatalf("%s: what was there changed too", tc.name)
		}
	}
}

func TestChangeOfPurposeRefused(t *testing.T) {
	p := (&Catalog{}).NewPurpose(1, ID{1}, noon, NewPurpose{Key: "letter", Name: "Letter",
		Taxonomy: Taxonomy{"custom", "unclassified", "letter"}})
	builtIn, full := p, p
	builtIn.ReadOnly, full.Version = true, maxVersions
	text := func(s string) *string { return &s }
	wrong, empty, wrongFor, noDuration := LegalBasis("because"), LegalBasis(""), Duration("1 year"), Duration("")
	many := map[string]*TextChange{}
	for i := range maxLanguages + 1 {
		many[fmt.Sprintf("de-x-%d", i)] = &TextChange{Name: text("x")}
	}
	for _, tc := range []struct {
		name   string
		of     *Purpose
		change PurposeChange
		kind   Kind
		field  string
	}{
		{"no name", &p, PurposeChange{Name: text("")}, Invalid, "name"},
		{"long name", &p, PurposeChange{Name: text(strings.Repeat("é", maxPurposeName+1))}, Invalid, "name"},
		{"long description", &p, PurposeChange{Description: text(strings.Repeat("é", 2001))}, Invalid, "description"},
		{"long url", &p, PurposeChange{URL: text(strings.Repeat("x", 2049))}, Invalid, "url"},
		{"legal basis", &p, PurposeChange{LegalBasis: &wrong}, Invalid, "legal_basis"},
		{"no legal basis", &p, PurposeChange{LegalBasis: &empty}, Invalid, "legal_basis"},
		{"status", &p, PurposeChange{Status: text("gone")}, Invalid, "status"},
		{"no status", &p, PurposeChange{Status: text("")}, Invalid, "status"},
		{"duration", &p, PurposeChange{Duration: &wrongFor}, Invalid, "duration"},
		{"no duration", &p, PurposeChange{Duration: &noDuration}, Invalid, "duration"},
		{"no label", &p, PurposeChange{Label: text("")}, Invalid, "label"},
		{"label of every project's", &builtIn, PurposeChange{Label: text("x")}, Unprocessable, "category"},
		{"no such language", &p, PurposeChange{Texts: map[string]*TextChange{"deutsch sprak": {}}}, Invalid, "texts"},
		{"no language", &p, PurposeChange{Texts: map[string]*TextChange{"": {}}}, Invalid, "texts"},
		{"any language", &p, PurposeChange{Texts: map[string]*TextChange{"und": {}}}, Invalid, "texts"},
		{"a language twice", &p, PurposeChange{Texts: map[string]*TextChange{"pt-br": {}, "pt-BR": {}}}, Invalid, "texts"},
		{"many languages", &p, PurposeChange{Texts: many}, Invalid, "texts"},
		{"long texts", &p, PurposeChange{Texts: map[string]*TextChange{"de": {LegalText: text(strings.Repeat("x",
			maxTexts))}}}, Invalid, "texts"},
		{"a long name of a language", &p, PurposeChange{Texts: map[string]*TextChange{"DE": {Name: text(strings.Repeat("x",
			maxPurposeName+1))}}}, Invalid, "texts.de.name"},
		{"too many versions", &full, PurposeChange{Name: text("x")}, Conflict, ""},
	} {
		_, _, _, err := tc.of.Change(&tc.change, Wording{}, noon)
		if e := AsError(err); err == nil || e.Kind != tc.kind || e.Field != tc.field {
			t.Errorf("%s: %+v", tc.name, err)
		}
	}
}

// TestTextsAreKept: what is kept reads as it was, by languages as BCP 47 writes them, and the same texts are the same
// bytes.
func TestTextsAreKept(t *testing.T) {
	for tag, want := range map[string]string{"de": "de", "DE": "de", "pt-br": "pt-BR", "zh-hant-tw": "zh-Hant-TW",
		"sr_Latn": "sr-Latn", "en-GB": "en-GB"} {
		got, err := checkTexts(Texts{tag: {Name: "x"}, "fr": {}})
		if diff := cmp.Diff(Texts{want: {Name: "x"}}, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tag, err, diff)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		texts := Texts{}
		for _, tag := range []string{"de", "fr", "pt-BR"} {
			if rapid.Bool().Draw(t, tag) {
				texts[tag] = LocalText{rapid.String().Draw(t, "name"), rapid.String().Draw(t, "description"),
					"x" + rapid.String().Draw(t, "text")}
			}
		}
		kept, err := texts.JSON()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseTexts(kept)
		if again, _ := got.JSON(); err != nil || len(got) != len(texts) || again != kept {
			t.Fatalf("%v reads %v, %v", texts, got, err)
		}
	})
}
