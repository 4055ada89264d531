package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/pgtest"
)

// TestKeyCommands makes, lists and revokes keys beside a running server, and after it.
func TestKeyCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serveOn(t, dir, nil)
	keys := keyPattern.FindAllString(p.out.String(), -1)
	root, first := keys[0], keys[1]
	organization := organizationOf(t, p, root)

	made := command(t, []string{"CONSENTD_DATA=" + dir}, "key", "create", "--name", "reports", "--scope",
		"consents:read,organizations:read", "--expires", "90d")
	reports := keyPattern.FindString(made.out.String())
	hold(t, "key create", made.out.String(), "My organization", "consents:read,organizations:read",
		time.Now().UTC().AddDate(0, 0, 90).Format("2006-01-02"))
	at := func(key string) int {
		status, _ := call(t, "GET", p.url+"/api/v1/organizations/"+organization+"/keys",
			map[string]string{"Authorization": "Bearer " + key}, "")
		return status
	}
	if status := at(reports); status != 200 {
		t.Errorf("the new key gets %d", status)
	}
	list := command(t, nil, "key", "list", "--data", dir).out.String()
	hold(t, "key list", list, "my-organization", `"first key"`, `"reports"`)
	for _, secret := range []string{root, first, reports} {
		if strings.Contains(list, secret) {
			t.Error("key list shows a key")
		}
	}
	id := idOf(t, list, `"reports"`)
	if revoked := command(t, nil, "key", "revoke", "--data", dir, id); revoked.code != 0 {
		t.Errorf("key revoke: %s", revoked.errOut.String())
	}
	within(t, 2*time.Second, "the revoked key is refused", func() bool { return at(reports) == 401 })
	if again := command(t, nil, "key", "revoke", "--data", dir, id); again.code != 0 {
		t.Errorf("key revoke again: %s", again.errOut.String())
	}
	all := command(t, nil, "key", "create", "--name", "leaked", "--data", dir)
	leaked := keyPattern.FindString(all.out.String())
	hold(t, "key create without --scope", all.errOut.String(), "has all scopes", "organizations:write, ", "ledger:read",
		"key revoke", "--scope consents:write,consents:read")
	if said := made.errOut.String(); said != "" {
		t.Errorf("key create with --scope says %s", said)
	}
	mistyped := command(t, nil, "key", "revoke", "--data", dir, leaked+"x")
	if mistyped.code != exitUsage || strings.Contains(mistyped.errOut.String(), leaked) {
		t.Errorf("a mistyped key: exit code %d, %s", mistyped.code, mistyped.errOut.String())
	}
	if revoked := command(t, nil, "key", "revoke", "--data", dir, leaked); revoked.code != 0 ||
		strings.Contains(revoked.out.String(), leaked) {
		t.Errorf("key revoke by the key: %s%s", revoked.out.String(), revoked.errOut.String())
	}
	within(t, 2*time.Second, "the leaked key is refused", func() bool { return at(leaked) == 401 })
	rotated := command(t, nil, "key", "rotate-root", "--data", dir)
	within(t, 2*time.Second, "the old root key is refused", func() bool { return at(root) == 401 })
	newRoot := keyPattern.FindString(rotated.out.String())
	if status := at(newRoot); status != 200 {
		t.Errorf("the new root key gets %d", status)
	}
	p.stop(t)
	p = serveOn(t, dir, nil)
	for key, want := range map[string]int{root: 401, newRoot: 200, first: 200, reports: 401} {
		if status := at(key); status != want {
			t.Errorf("after a restart a key gets %d, want %d", status, want)
		}
	}
}

func organizationOf(t *testing.T, p *process, root string) string {
	t.Helper()
	_, answer := call(t, "GET", p.url+"/privacy-v1/organizations", map[string]string{"x-api-key": root}, "")
	var list struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer, &list); err != nil || len(list.Items) != 1 {
		t.Fatalf("organizations: %v %s", err, answer)
	}
	return list.Items[0].ID
}

// idOf gives the id in the line of a list that holds a name.
func idOf(t *testing.T, list, name string) string {
	t.Helper()
	for line := range strings.Lines(list) {
		if strings.Contains(line, name) {
			return strings.Fields(line)[0]
		}
	}
	t.Fatalf("no %s in:\n%s", name, list)
	return ""
}

func within(t *testing.T, most time.Duration, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < most; time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Errorf("not within %s: %s", most, what)
}

func TestKeyMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serveOn(t, dir, nil).stop(t)
	for _, tc := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"create", "--name", "x", "--scope", "nope"}, exitUsage, "consents:write"},
		{[]string{"create", "--name", "x", "--scope", ""}, exitUsage, "--scope is empty"},
		{[]string{"create", "--name", "x", "--scope="}, exitUsage, "--scope is empty"},
		{[]string{"create", "--name", "x", "--scope", "consents:read,"}, exitUsage, "--scope is empty"},
		{[]string{"create", "--name", ""}, exitUsage, "name"},
		{[]string{"create", "--name", "x", "--expires", "2001-01-01T00:00:00Z"}, exitUsage, "is not in the future"},
		{[]string{"create", "--name", "x", "--expires", "soon"}, exitUsage, "is not a time: give days such as 90d"},
		{[]string{"create", "--name", "x", "--expires", "-1d"}, exitUsage, `--expires "-1d" is not in the future`},
		{[]string{"create", "--name", "x", "--expires=-1d"}, exitUsage, `--expires "-1d" is not in the future`},
		{[]string{"create", "--name", "x", "--expires"}, exitUsage, "--expires lacks its value"},
		{[]string{"create", "--expires", "--name", "x"}, exitUsage, "--expires lacks its value"},
		{[]string{"create", "--name", "-secret"}, exitUsage,
			"--name lacks its value; one that begins with a dash goes after =, such as --name=-x\n"},
		{[]string{"create", "--name", "x", "--organization", "nobody"}, exitUsage, "my-organization"},
		{[]string{"list", "--organization", "nobody"}, exitUsage, "my-organization"},
		{[]string{"revoke", "not-an-id"}, exitUsage, "key list"},
		{[]string{"revoke", "0190f5a2-7c1e-7d3a-9b1f-2a4c6e8d0b13"}, exitFailed, "key list"},
	} {
		p := command(t, nil, append([]string{"key", "--data", dir}, tc.args...)...)
		if p.code != tc.code || keyPattern.MatchString(p.out.String()) {
			t.Errorf("%v: exit code %d, want %d; printed %q", tc.args, p.code, tc.code, p.out.String())
		}
		hold(t, strings.Join(tc.args, " "), p.errOut.String(), tc.said)
	}
	for _, args := range [][]string{{"list"}, {"create", "--name", "x"}, {"rotate-root"}} {
		elsewhere := t.TempDir()
		p := command(t, nil, append([]string{"key", "--data", elsewhere}, args...)...)
		if p.code != exitFailed {
			t.Errorf("%v on an empty folder: exit code %d", args, p.code)
		}
		hold(t, "on an empty folder", p.errOut.String(), elsewhere, "consentd serve", "--data")
	}
	empty := []string{"CONSENTD_DATABASE_URL=" + pgtest.Database(t, "", nil)}
	for range 2 { // the first must not have made what the second finds
		p := command(t, empty, "key", "list")
		if p.code != exitFailed {
			t.Errorf("on an empty database: exit code %d", p.code)
		}
		hold(t, "on an empty database", p.errOut.String(), "has no data of consentd's", "consentd serve")
	}
}

// TestScopesAreTold: the help of key create, and the README of the API that makes keys, say of each scope what it
// opens.
func TestScopesAreTold(t *testing.T) {
	readme, err := os.ReadFile(filepath.FromSlash("../../internal/protocol/native/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if len(opens) != len(consent.AllScopes) {
		t.Errorf("%d scopes are told of", len(opens))
	}
	for _, s := range consent.AllScopes {
		hold(t, "key create --help", keyCreateCmd{}.Help(), "\t"+string(s)+" ", opens[s])
		if row := "| `" + string(s) + "` | " + opens[s] + " |"; !strings.Contains(string(readme), row) {
			t.Errorf("the README lacks %q", row)
		}
	}
}
