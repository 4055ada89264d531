package importing

import (
	"strings"
	"testing"
)

func TestMap(t *testing.T) {
	for _, tc := range []struct{ text, fails string }{
		{"", ""},
		{"columns: {E-Mail: identifiers.email, Notes: \"\"}\nconstants: {purpose: news, metadata.from: crm}\n", ""},
		{"states: {Ja: accepted, Nein: declined, vielleicht: \"\"}\npurposes: {Werbung: marketing}\nwide: {News: news}\n",
			""},
		{"columns: [a]", "unmarshal errors:\n  line 1: cannot unmarshal !!seq into map[string]string"},
		{"column: {a: b}", "unmarshal errors:\n  line 1: field column not found in type importing.Map"},
		{"columns: {a: email}", `columns: "a" is given "email", which is no member of a line; such are ` + someMembers},
		{"constants: {mail: a}", `constants: "mail" is no member of a line; such are ` + someMembers},
		{"states: {a: granted}", `states: "a" is given "granted"; allowed: accepted, declined, withdrawn, implied, viewed, ` +
			`and "" for what is no decision`},
		{"states: {a: accepted, A: declined}", "is there twice, in another case"},
		{"wide: {a: \"\"}", `wide: "a" has no purpose`},
	} {
		_, err := ReadMap(strings.NewReader(tc.text))
		if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
			t.Errorf("%s: %v, want %q", tc.text, err, tc.fails)
		}
	}
}

// TestNoMapMakesYesOfNo: what a tool says is a no, or waits, cannot be mapped to what is in force.
func TestNoMapMakesYesOfNo(t *testing.T) {
	words := Words{"in": {State: Accepted}, "out": No(Withdrawn), "waits": Pending("it waits"),
		"unsaid": {LeftOut: "unsaid"}}
	for word := range words {
		for _, state := range append([]string{""}, states...) {
			o := &Options{Map: &Map{States: map[string]string{word: state}}}
			forbidden := isYes(state) && (word == "out" || word == "waits")
			if err := words.Check(o.Map); (err != nil) != forbidden {
				t.Errorf("%s as %q: %v", word, state, err)
			}
			if got, err := o.StateOf(" "+strings.ToUpper(word),
				words); (err != nil) != forbidden || err == nil && got.State != state {
				t.Errorf("%s as %q: %+v, %v", word, state, got, err)
			}
		}
	}
	o := &Options{Map: &Map{}}
	if _, err := o.StateOf("other", words); err == nil || !strings.Contains(err.Error(), "known: in, out, unsaid, waits") {
		t.Errorf("another word: %v", err)
	}
	if _, err := (&Options{Map: &Map{Purposes: map[string]string{"a": "x"}}}).PurposeOf("b",
		map[string]string{"b": "y"}); err == nil {
		t.Error("a purpose that the map has not is taken")
	}
}

func TestLine(t *testing.T) {
	whole := Line{Identifiers: Identifiers{Email: "a@example.com"}, Purpose: "news", State: Accepted,
		OccurredAt: "2026-01-31T00:00:00Z"}
	for name, change := range map[string]func(*Line){
		"":                     func(*Line) {},
		"names nobody":         func(l *Line) { l.Identifiers = Identifiers{} },
		"purpose: it is empty": func(l *Line) { l.Purpose = "" },
		"there is no date":     func(l *Line) { l.OccurredAt = "" },
		"state: must be":       func(l *Line) { l.State = "yes" },
		"could not be decoded": func(l *Line) { l.Identifiers.Email = "a\uFFFD@example.com" },
	} {
		l, out, r := whole, Out{}, Record{}
		change(&l)
		out.begin(&r)
		out.end(out.Add(&l))
		if name == "" && (r.Err != nil || len(r.Lines) != 1) || name != "" &&
			(r.Err == nil || !strings.Contains(r.Err.Error(), name)) {
			t.Errorf("%s: %v, %d lines", name, r.Err, len(r.Lines))
		}
	}
}
