package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLedgerVerifyFacts changes tables by which people are answered, and that entries of the ledger tell of: who is
// somebody else, restricted or erased. Each change is named.
func TestLedgerVerifyFacts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, _ := proved(t, "--data", dir)
	p := serveWith(t, []string{"CONSENTD_ROOT_KEY=" + rootKey}, "serve", "--listen", "127.0.0.1:0", "--data", dir)
	header := map[string]string{"Authorization": "Bearer " + rootKey}
	subjects := "/api/v1/organizations/" + o.organization + "/subjects"
	people := map[string]string{}
	for _, who := range []string{"person-1", "person-2", "person-3", "person-4", "person-5", "person-6"} {
		email := `{"identifiers":{"email":"` + who + `@example.org"}` // by which two may be merged
		events := "/api/v1/organizations/" + o.organization + "/projects/" + o.project + "/events"
		status, answer := call(t, "POST", p.url+events, header,
			`{"items":[`+email+`,"purpose":"analytics","state":"accepted"}]}`)
		if status != 201 {
			t.Fatalf("a write: %d %s", status, answer)
		}
		_, answer = call(t, "POST", p.url+subjects+":lookup", header, email+"}")
		people[who] = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(string(answer))
	}
	for _, write := range [][2]string{{people["person-1"] + "/restrict", `{}`}, {people["person-4"] + "/restrict", `{}`},
		{people["person-5"] + "/restrict", `{}`}, {people["person-5"] + "/unrestrict", `{}`},
		{people["person-2"] + "/merge", `{"subjectId":"` + people["person-3"] + `"}`},
		{people["person-2"] + "/merge", `{"subjectId":"` + people["person-4"] + `"}`}} {
		if status, answer := call(t, "POST", p.url+subjects+"/"+write[0], header, write[1]); status != 200 {
			t.Fatalf("%s: %d %s", write[0], status, answer)
		}
	}
	p.stop(t)
	verified(t, 0, []string{`All is as it was committed`}, "--data", dir)
	by := func(column, who string) string {
		return column + " = x'" + strings.ReplaceAll(people[who], "-", "") + "'"
	}
	for name, tc := range map[string]struct{ statement, says string }{
		"somebody else": {`UPDATE subjects SET ` + by("merged_into", "person-6") + ` WHERE ` + by("subject_id", "person-1"),
			`1 subjects that are told to be somebody else, and nobody merged them so`},
		"another one": {`UPDATE subjects SET ` + by("merged_into", "person-6") + ` WHERE ` + by("subject_id", "person-3"),
			`1 subjects that are told to be somebody else`},
		"themselves": {`UPDATE subjects SET merged_into = NULL WHERE ` + by("subject_id", "person-3"),
			`1 subjects that were merged, and are told to be themselves`},
		"a restriction lifted": {`DELETE FROM restrictions WHERE ` + by("subject_id", "person-1"),
			`1 restrictions that the ledger tells of, and that are not in force`},
		"a restriction more": {`INSERT INTO restrictions SELECT organization_id, subject_id, created_at, 15 FROM subjects ` +
			`WHERE ` + by("subject_id", "person-6"), `1 restrictions that no entry of the ledger tells of`},
		"an erasure forgotten": {`DELETE FROM subjects WHERE erased_at IS NOT NULL`, `1 erasures of which no subject tells`},
		"erased by nobody": {`UPDATE subjects SET erased_at = 1, erased_sequence = 15 WHERE ` + by("subject_id", "person-6"),
			`1 subjects that are told to be erased, and no entry of the ledger tells of it`},
		"the keys": {`UPDATE ledger_keys SET verifier_key = 'shop.example+c7ec8101+AAAA'`,
			`the key that signed the newest checkpoint is not among those that are given to who verifies it`},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := copyOf(t, dir)
			plant(tc.statement)(t, damaged)
			verified(t, exitFailed, []string{tc.says}, "--data", damaged)
		})
	}
}
