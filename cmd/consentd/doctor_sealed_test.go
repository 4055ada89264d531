package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"
)

// sealedWord is what the person of TestDoctorFindsDamagedTexts has in each sealed text; no output has it.
const sealedWord = "canary"

// everything puts one person on record with each kind of text that is sealed, and gives the id.
func everything(k *keyed) (id string) {
	t := k.t
	t.Helper()
	p := k.serve()
	o := newTenant(t, p)
	header := map[string]string{"x-api-key": rootKey, "Authorization": "Bearer " + rootKey}
	native := "/api/v1/organizations/" + o.organization
	do := func(method, path, body string) []byte {
		t.Helper()
		status, answer := call(t, method, p.url+path, header, body)
		if status/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
		return answer
	}
	do("POST", native+"/projects/"+o.project+"/events", `{"items":[{"identifiers":{"userId":"`+sealedWord+
		`","email":"canary@shop.example"},"purpose":"functional","state":"accepted",`+
		`"evidence":{"displayedText":"A text for canary alone."}}]}`)
	answer := do("POST", native+"/subjects:lookup", `{"identifiers":{"userId":"`+sealedWord+`"}}`)
	id = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(string(answer))
	do("POST", native+"/subjects/"+id+"/restrict", `{}`)
	made := command(t, k.env, append([]string{"key", "create", "--name", "x"}, k.args...)...)
	header["Authorization"] = "Bearer " + keyPattern.FindString(made.out.String())
	for _, note := range []string{"old", "new"} {
		do("POST", "/v1/subjects/user/"+sealedWord, `{"data":{"note":"`+note+` of canary"}}`)
	}
	p.stop(t)
	return id
}

// change runs a statement on the store behind the server's back.
func (k *keyed) change(statement string) {
	k.t.Helper()
	if k.url == "" {
		plant(statement)(k.t, k.dir)
		return
	}
	ctx := context.Background()
	db, err := pgx.Connect(ctx, k.url)
	if err != nil {
		k.t.Fatal(err)
	}
	defer db.Close(ctx)
	if changed, err := db.Exec(ctx, statement); err != nil || changed.RowsAffected() == 0 {
		k.t.Fatalf("%s: changed %d rows, %v", statement, changed.RowsAffected(), err)
	}
}

// TestDoctorFindsDamagedTexts: doctor --full opens all that is sealed, names the table and whose row it is where one
// does not open or is found by another identifier, and says nothing of what is in it.
func TestDoctorFindsDamagedTexts(t *testing.T) {
	t.Parallel()
	onKeyed(t, func(k *keyed) {
		t := k.t
		id := everything(k)
		doctor := func(args ...string) *process {
			return command(t, k.env, append(append([]string{"doctor"}, args...), k.args...)...)
		}
		if p := doctor("--full"); p.code != 0 || !regexp.MustCompile(`(?m)^ok +sealed +\d+ looked at`).
			MatchString(p.out.String()) {
			t.Fatalf("nothing is damaged: exit code %d\n%s", p.code, p.out.String())
		}
		const other = `(SELECT ident FROM events LIMIT 1)`
		for _, statement := range []string{`UPDATE identifiers SET kind = 'username' WHERE kind = 'email'`,
			`UPDATE subjects SET data = ` + other + ` WHERE data IS NOT NULL`,
			`UPDATE subject_archive SET data = ` + other + ` WHERE data IS NOT NULL`,
			`UPDATE subject_texts SET text_sealed = ` + other,
			`UPDATE ledger_entries SET ident = ` + other + ` WHERE subject_id IN (SELECT subject_id FROM identifiers)`} {
			k.change(statement)
		}
		p := doctor("--full")
		if p.code != exitFailed {
			t.Errorf("exit code %d\n%s", p.code, p.out.String())
		}
		line := regexp.MustCompile(`(?m)^fail +sealed .*To do: .*$`).FindString(p.out.String())
		hold(t, "the doctor", line, "subject "+id+", table identifiers: it is found by the index of another identifier",
			"table subjects: ", "table subject_archive: ", "table subject_texts: ", "table ledger_entries: ")
		if regexp.MustCompile(sealedWord).MatchString(p.out.String() + p.errOut.String()) {
			t.Errorf("it shows what is in a text:\n%s", p.out.String())
		}
		k.change(`UPDATE identifiers SET value_sealed = ` + other + ` WHERE kind = 'user_id'`)
		hold(t, "one more", doctor("--full").out.String(), "and 1 more")
		if k.url != "" {
			return
		}
		if err := os.Remove(filepath.Join(k.dir, keyFileName)); err != nil {
			t.Fatal(err)
		}
		hold(t, "without keys", doctor("--full").out.String(), "warn  sealed         not looked at")
	})
}
