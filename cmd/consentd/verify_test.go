package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVerifyCommand verifies elsewhere what a server gave out: as it is, changed, with keys and a checkpoint, and what
// is no bundle, each with its exit code. The server has ended by then.
func TestVerifyCommand(t *testing.T) {
	t.Parallel()
	p := serveOn(t, t.TempDir(), nil)
	root := keyPattern.FindAllString(p.out.String(), -1)[0]
	base := p.url + "/api/v1/organizations/" + organizationOf(t, p, root)
	get := func(path string) []byte {
		status, answer := call(t, "GET", base+path, map[string]string{"Authorization": "Bearer " + root}, "")
		if status != 200 {
			t.Fatalf("%s: %d %s", path, status, answer)
		}
		return answer
	}
	record := func(state string) (subject string) {
		status, answer := call(t, "POST", base+"/projects/default/events", map[string]string{
			"Authorization": "Bearer " + root, "Prefer": "wait=9"},
			`{"items":[{"identifiers":{"userId":"ada"},"purpose":"marketing","state":"`+state+`"}]}`)
		var made struct{ Items []struct{ SubjectID string } }
		if err := json.Unmarshal(answer, &made); status != 201 || err != nil {
			t.Fatalf("%d %s, %v", status, answer, err)
		}
		return made.Items[0].SubjectID
	}
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	record("accepted")
	note := get("/ledger/checkpoint")
	noted, size := file("noted.txt", note), strings.Split(string(note), "\n")[1]
	ada := record("withdrawn")
	bundle := get("/subjects/" + ada + "/evidence?since=" + size)
	alone := file("alone.zip", get("/subjects/"+ada+"/evidence"))
	var keys struct{ Items []struct{ Key string } }
	if err := json.Unmarshal(get("/ledger/keys"), &keys); err != nil || len(keys.Items) != 1 {
		t.Fatalf("%+v, %v", keys, err)
	}
	p.stop(t)
	good, key := file("good.zip", bundle), keys.Items[0].Key
	wrong := strings.Replace(key, "/0", "/1", 1)
	lines := strings.SplitN(string(note), "\n", 4)
	rootless := file("rootless.txt", []byte(lines[0]+"\n"+lines[1]+"\nAAAA\n"+lines[3]))
	damaged := file("damaged.zip", bytes.Replace(bundle, []byte("evidence.json"), []byte("evidence.jsom"), 1))
	large := file("large.txt", make([]byte, maxCheckpoint+1))
	changed := file("changed.zip", repacked(t, bundle, "evidence.json", `\"state\":\"withdrawn\"`,
		`\"state\":\"accepted\"`))
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{good}, 0, []string{"NOTE  The key is the bundle's own", "All 2 decisions are in the ledger",
			"All checks hold. What they do not cover is noted above."}},
		{[]string{good, "--vkey", key}, 0, []string{"by the key that you gave",
			"All checks hold. What they do not cover is noted above."}},
		{[]string{good, "--vkey", key, "--checkpoint", noted}, 0,
			[]string{"goes on from your checkpoint of " + size + " entries"}},
		{[]string{alone, "--checkpoint", noted}, 1, []string{"WRONG", "?since=" + size, "file evidence.json, field earlier",
			"it lacks the proof that you asked for"}},
		{[]string{good, "--checkpoint", rootless}, 2, []string{`is a root, 32 bytes in base64, and "AAAA" is none`}},
		{[]string{changed, "--vkey", key}, 1, []string{"WRONG What decision 2 says (or its salt) is not what was recorded " +
			"then. (file evidence.json, decision 2, field body)", "(file evidence.html)", "(file receipt.jsonld)",
			"ok    All 2 decisions are in the ledger", "do not rely on it"}},
		{[]string{good, "--vkey", wrong}, 2, []string{"--vkey: malformed"}},
		{[]string{good, "--checkpoint", good}, 2, []string{"--checkpoint " + good + ": malformed"}},
		{[]string{good, "--checkpoint", filepath.Join(dir, "none")}, 2, []string{"--checkpoint: open"}},
		{[]string{good, "--checkpoint", large}, 2, []string{"--checkpoint: ", "large.txt is larger than 65536 bytes"}},
		{[]string{damaged}, 2, []string{"damaged.zip: not a readable evidence bundle"}},
		{[]string{noted}, 2, []string{"not a readable evidence bundle"}},
		{[]string{filepath.Join(dir, "none.zip")}, 2, []string{"no such file"}},
		{[]string{dir}, 2, []string{"is no file"}},
		{nil, 2, []string{"expected \"<file>\""}},
		{[]string{"--help"}, 0, []string{"witness's key"}},
	} {
		got := command(t, nil, append([]string{"verify"}, c.args...)...)
		text := got.out.String() + got.errOut.String()
		for _, says := range c.says {
			if !strings.Contains(text, says) {
				t.Errorf("%v: it does not say %q:\n%s", c.args, says, text)
			}
		}
		if got.code != c.code || (got.code == 2) != (got.out.String() == "") {
			t.Errorf("%v: exit code %d, want %d:\n%s", c.args, got.code, c.code, text)
		}
	}
}

// repacked packs a bundle again with something else in one of its files.
func repacked(t *testing.T, bundle []byte, name, was, is string) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range r.File {
		content, err := fs.ReadFile(r, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name == name {
			if bytes.Count(content, []byte(was)) != 1 {
				t.Fatalf("%s does not have %q once", name, was)
			}
			content = bytes.Replace(content, []byte(was), []byte(is), 1)
		}
		to, err := w.Create(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGraphic(t *testing.T) {
	if got := graphic("a\x1b[2J\u202e\"é\"\n"); got != "a\ufffd[2J\ufffd\"é\"\ufffd" {
		t.Errorf("%q", got)
	}
}
