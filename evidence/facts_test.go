package evidence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestFactsRefuse: what two readers could read differently is read by none.
func TestFactsRefuse(t *testing.T) {
	body := bodyOf("text", "accepted")
	for _, c := range []struct{ name, body, ident, field, says string }{
		{"as it is", body, testIdent, "", ""},
		{"nothing", "", testIdent, "body", "no JSON object"},
		{"a list", "[]", testIdent, "body", "no JSON object"},
		{"cut off", body[:len(body)-1], testIdent, "body", "EOF"},
		{"something behind", body + "{}", testIdent, "body", "follows"},
		{"a state twice", strings.Replace(body, "{", `{"state":"declined",`, 1), testIdent, "body", "twice"},
		{"a state twice, spelled otherwise", strings.Replace(body, "{", `{"st\u0061te":"declined",`, 1), testIdent, "body",
			"twice"},
		{"a note twice", strings.Replace(body, `{"button"`, `{"n":4,"button"`, 1), testIdent, "body", "twice"},
		{"no state", strings.Replace(body, `"accepted"`, "null", 1), testIdent, "body", "null"},
		{"a number for a state", strings.Replace(body, `"accepted"`, "1", 1), testIdent, "body", "state"},
		{"a broken version", strings.Replace(body, `"purpose_version":1`, `"purpose_version":1.5`, 1), testIdent, "body",
			"purpose_version"},
		{"a text by another hash", strings.Replace(body, "sha256:", "sha256:A", 1), testIdent, "body", "hash"},
		{"no ident", body, "null", "ident", "no JSON object"},
		{"a name twice", body, strings.Replace(testIdent, `{"email"`, `{"user_id":"bob","email"`, 1), "ident", "twice"},
	} {
		_, field, err := factsOf(&Decision{Body: c.body, Ident: c.ident})
		if c.field == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || field != c.field || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: in %q: %v", c.name, field, err)
		}
	}
}

// TestMembersHaveABound: a few bytes are a member, which takes many more in memory: what has more members than anything
// that was recorded is not read.
func TestMembersHaveABound(t *testing.T) {
	object := func(members int) string {
		var out strings.Builder
		for i := range members {
			fmt.Fprintf(&out, `,"m%d":1`, i)
		}
		return "{" + strings.TrimPrefix(out.String(), ",") + "}"
	}
	for members, want := range map[int]bool{0: true, 1000: true, 1001: false} {
		for field, d := range map[string]Decision{
			"body":  {Body: object(members), Ident: "{}"},
			"ident": {Body: "{}", Ident: `{"identifiers":` + object(members) + "}"},
		} {
			if _, in, err := factsOf(&d); (err == nil) != want || err != nil && in != field {
				t.Errorf("%d members of the %s: in %q: %v", members, field, in, err)
			}
		}
	}
}

// TestOtherLettersAreOthers: a member in other letters is not the one that is meant.
func TestOtherLettersAreOthers(t *testing.T) {
	f, _, err := factsOf(&Decision{Body: `{"State":"accepted","later":{"a":1}}`, Ident: "{}"})
	if err != nil || f.State != "" {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestDataInOtherForms: each file of data has one form.
func TestDataInOtherForms(t *testing.T) {
	files := unpacked(t, written(t, testBundle(1)))
	for name, change := range map[string]func(string) string{
		"a member twice": func(s string) string { return strings.Replace(s, "{\n", "{\n  \"format\": \"x\",\n", 1) },
		"a member more":  func(s string) string { return strings.Replace(s, "{\n", "{\n  \"more\": 1,\n", 1) },
		"other letters":  func(s string) string { return strings.Replace(s, `"format"`, `"Format"`, 1) },
		"null":           func(s string) string { return strings.Replace(s, `"value": "ada"`, `"value": null`, 1) },
		"other spaces":   func(s string) string { return s + "\n" },
		"something more": func(s string) string { return s + "{}" },
		"escapes":        func(s string) string { return strings.Replace(s, `"ada"`, `"\u0061da"`, 1) },
		"another form":   func(s string) string { return strings.Replace(s, "evidence/v1", "evidence/v2", 1) },
		"a base64":       func(s string) string { return strings.Replace(s, `"leaf": "`, `"leaf": "\n`, 1) },
		"a lone half":    func(s string) string { return strings.Replace(s, `"value": "ada"`, `"value": "\ud800"`, 1) },
	} {
		changed := map[string][]byte{DataFile: []byte(change(string(files[DataFile])))}
		if slices.Equal(changed[DataFile], files[DataFile]) {
			t.Fatalf("%s: nothing was changed", name)
		}
		changed[PurposesFile], changed[KeysFile] = files[PurposesFile], files[KeysFile]
		if _, err := parse(changed); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}
