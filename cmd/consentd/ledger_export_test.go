package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/consentd/consentd/internal/audit"
	"github.com/consentd/consentd/internal/pgtest"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/ledger"
)

// exported makes the folder of a proved ledger, and gives it with the checkpoint.
func exported(t *testing.T, o tenant, args ...string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "ledger")
	p := command(t, nil, append([]string{"ledger", "export", "--organization", o.organization, to}, args...)...)
	if p.code != 0 {
		t.Fatalf("exit code %d\n%s", p.code, p.errOut.String())
	}
	hold(t, "the export", p.out.String(), "Exported 112 entries and 49 consents of ", "consentd ledger audit "+to)
	return to
}

// audited runs the audit and holds its output.
func audited(t *testing.T, code int, says []string, args ...string) {
	t.Helper()
	p := command(t, nil, append([]string{"ledger", "audit"}, args...)...)
	out := p.out.String() + p.errOut.String()
	if p.code != code {
		t.Errorf("exit code %d, want %d\n%s", p.code, code, out)
	}
	if strings.ContainsAny(out, "\x1b\u202e") {
		t.Errorf("it would act in a terminal: %q", out)
	}
	for _, expression := range says {
		if !regexp.MustCompile(expression).MatchString(out) {
			t.Errorf("it does not say %s:\n%s", expression, out)
		}
	}
}

var holds = []string{`has 112 entries: 110 as committed, 2 about people who were erased since, of which the leaf ` +
	`alone is left, and 0 that retention dropped\.`, `49 consents follow from them\.`, `All holds`}

// TestLedgerExport exports from both engines, and changes the folder as somebody could who wants it to say something
// else; each change is named.
func TestLedgerExport(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, checkpoint := proved(t, "--data", dir)
	folder := exported(t, o, "--data", dir)
	pinned := filepath.Join(t.TempDir(), "checkpoint")
	writeFile(t, pinned, checkpoint)
	var keys []audit.Key
	if err := json.Unmarshal([]byte(readFile(t, folder, "keys.json")), &keys); err != nil || len(keys) != 1 {
		t.Fatalf("%d keys: %v", len(keys), err)
	}
	audited(t, 0, append(holds, "NOTE .*folder's own key"), folder)
	audited(t, 0, append(holds, `signed by a key that was given \(--vkey\)`, `It goes on from the checkpoint that was `+
		`given \(--checkpoint\), over 112 entries\.`), folder, "--vkey", keys[0].Key, "--checkpoint", pinned)
	audited(t, 0, holds, folder, "--vkey", keys[0].Key, "--vkey", keys[0].Key)
	audited(t, exitUsage, []string{"a key of the ledger: malformed"}, folder, "--vkey", keys[0].Key[:40])
	name := keys[0].Key[:strings.Index(keys[0].Key, "+")]
	private, err := ledger.GenerateKey(cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ledger.VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	audited(t, exitFailed, []string{`checkpoint: not signed`}, folder, "--vkey", other)
	damaged := strings.Replace(checkpoint, "\n112\n", "\n111\n", 1)
	for _, damaged := range []string{damaged, checkpoint[:strings.Index(checkpoint, "\n\n")+2]} {
		writeFile(t, pinned, damaged)
		says := []string{`the checkpoint file is damaged: `}
		audited(t, exitUsage, says, folder, "--checkpoint", pinned)
		verified(t, exitUsage, says, "--data", dir, "--checkpoint", pinned)
	}
	writeFile(t, pinned, signedAs(t, filepath.Join(dir, keyFileName), name, 64, [32]byte{}))
	audited(t, exitFailed, []string{`signed over other entries than the first 64: the ledger was forked`}, folder,
		"--checkpoint", pinned)
	verified(t, exitFailed, []string{`the checkpoint that was given was signed over other entries than the first 64`},
		"--data", dir, "--checkpoint", pinned)
	for _, tc := range []struct {
		name, path, expression, with string
		says                         []string
	}{
		{"a body", "openings/000.p/112", `(?m)^({"sequence":19,.*?)accepted`, "${1}declined",
			[]string{`entry 19: not what was committed: body`, `entry 19 is no decision that was opened`}},
		{"an ident", "openings/000.p/112", `person-6\b`, "person-X", []string{`entry 19: not what was committed: ident`}},
		{"whose it is", "openings/000.p/112", `(?m)^({"sequence":21,.*?"subject":")........`, "${1}00000000",
			[]string{`entry 21 is about another person or purpose`}},
		{"two lines exchanged", "openings/000.p/112", `(?m)^({"sequence":21,.*)\n(.*)\n`, "$2\n$1\n",
			[]string{`entry 21: its line is not there, or in the place of another`}},
		{"a line deleted", "openings/000.p/112", `(?m)^{"sequence":21,.*\n`, "",
			[]string{`ends after 111 of 112 lines`, `entry 21: its line is not there`}},
		{"a time", "openings/000.p/112", `(?m)^({"sequence":21,.*?"recordedAt":"20)..`, "${1}25",
			[]string{`entry 21, recordedAt: is not what was committed`}},
		{"a decision hidden as if erased", "openings/000.p/112", `(?m)^{"sequence":21,"kind":"decision",("id":"[^"]*"),.*$`,
			`{"sequence":21,"kind":"erased",$1}`, []string{`entry 21: its leaf alone is left, and no later erasure is named`}},
		{"a decision hidden behind an erasure", "openings/000.p/112",
			`(?m)^{"sequence":21,"kind":"decision",("id":"[^"]*"),.*$`, `{"sequence":21,"kind":"erased",$1,"erasedBy":112}`,
			[]string{`entry 112: it took 2 entries, and others are told to be erased by it`}},
		{"a decision hidden behind none", "openings/000.p/112",
			`(?m)^{"sequence":21,"kind":"decision",("id":"[^"]*"),.*$`, `{"sequence":21,"kind":"erased",$1,"erasedBy":113}`,
			[]string{`entry 113: entries are told to be erased by it, and it is not there`}},
		{"an absurd size", "checkpoint", `\n112\n`, "\n1000000000000000000\n",
			[]string{`the folder ends behind entry 0, and`}},
		{"an unknown member", "openings/000.p/112", `(?m)^{"sequence":21,`, `{"sequence":21,"more":1,`,
			[]string{`line 21: .*more`}},
		{"a leaf", "tile/entries/000.p/112", "byte 500", "", []string{`entry 5: its leaf is not what its hash`,
			`the checkpoint|checkpoint: it was signed over other entries`}},
		{"a hash", "tile/0/000.p/112", "byte 64", "", []string{`entry 3: its leaf is not what its hash`}},
		{"the checkpoint", "checkpoint", `\n112\n`, "\n111\n", []string{`checkpoint: wrong signature`}},
		{"a name that turns what stands behind it", "checkpoint", `^`, "\u202e", []string{`The ledger \x{fffd}`}},
		{"another form of a salt", "openings/000.p/112", `(?m)^({"sequence":21,.*?"bodySalt":".{42}).=`, "last digit",
			[]string{`line 21: `}},
		{"another form of a signature", "checkpoint", `().=\n$`, "last digit",
			[]string{`checkpoint: a signature is not in the form`}},
		{"a consent", "consents.ndjson", `"state":"accepted"`, `"state":"declined"`, []string{`line 1, subject .*: it says`}},
		{"a consent deleted", "consents.ndjson", `^.*\n`, ``, []string{`consents follow from 9[56] of 97 decisions`}},
		{"a consent doubled", "consents.ndjson", `^(.*\n)`, `$1$1`, []string{`another consent follows from entry`}},
		{"a bundle of leaves cut", "tile/entries/000.p/112", `(?s).{9}$`, "", []string{`no bundle of 112 entries`}},
		{"a bundle of leaves deleted", "tile/entries/000.p/112", ``, "", []string{`tile/entries/000.p/112: is not there`}},
		{"a text", "texts/*/*", `We keep`, "We sell", []string{`it is not the text with that hash`}},
		{"a text deleted", "texts/*/*", ``, "", []string{`texts/../[0-9a-f]{64}.txt: .*no such file`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			damaged := filepath.Join(t.TempDir(), "ledger")
			if err := os.CopyFS(damaged, os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			paths, err := filepath.Glob(filepath.Join(damaged, tc.path))
			if err != nil || len(paths) == 0 {
				t.Fatalf("no file %s", tc.path)
			}
			if tc.expression == "" {
				err = os.Remove(paths[0])
			} else {
				before := readFile(t, paths[0])
				after := replaceFirst(before, tc.expression, tc.with)
				if after == before {
					t.Fatalf("nothing was changed in %.300s", before)
				}
				writeFile(t, paths[0], after)
			}
			if err != nil {
				t.Fatal(err)
			}
			audited(t, exitFailed, append(tc.says, "NOT as it was committed"), damaged)
		})
	}
}

func replaceFirst(text, expression, with string) string {
	if number, ok := strings.CutPrefix(expression, "byte "); ok {
		at, _ := strconv.Atoi(number)
		changed := []byte(text)
		changed[at] ^= 1
		return string(changed)
	}
	x := regexp.MustCompile(expression)
	at := x.FindStringSubmatchIndex(text)
	if at == nil {
		return text
	}
	if with == "last digit" { // behind the first group: another one of the same meaning, in base64
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		n := strings.IndexByte(digits, text[at[3]])
		return text[:at[3]] + digits[n^1:][:1] + text[at[3]+1:]
	}
	return text[:at[0]] + string(x.ExpandString(nil, with, text, at)) + text[at[1]:]
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLedgerVerifyHiddenDecision takes a decision away as if it had been erased, leaf and all.
func TestLedgerVerifyHiddenDecision(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, _ := proved(t, "--data", dir)
	leaves, err := ledger.ParseEntries([]byte(readFile(t, exported(t, o, "--data", dir), "tile/entries/000.p/112")), 112)
	if err != nil {
		t.Fatal(err)
	}
	// The last decision is the only one about its person.
	plant(fmt.Sprintf(`INSERT INTO ledger_entries (organization_id, event_id, sequence, kind, recorded_at, leaf,
erased_by) SELECT organization_id, event_id, sequence, 1, recorded_at, x'%x', 112 FROM events WHERE sequence = 111;
DELETE FROM consents WHERE subject_id = (SELECT subject_id FROM events WHERE sequence = 111);
DELETE FROM events WHERE sequence = 111`, leaves[110].Append(nil)))(t, dir)
	says := []string{`entry 112: it took 2 entries, and others are told to be erased by it: an entry was taken away as ` +
		`if it had been erased`, `NOT as it was committed`}
	verified(t, exitFailed, says, "--data", dir)
	plant(`UPDATE ledger_entries SET erased_by = 113 WHERE sequence = 111`)(t, dir)
	says[0] = `entry 113: entries are told to be erased by it, and it is not there: they were taken away`
	verified(t, exitFailed, says, "--data", dir)
}

// TestLedgerAuditPipe does not wait for a pipe in the place of a file.
func TestLedgerAuditPipe(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, _ := proved(t, "--data", dir)
	folder := exported(t, o, "--data", dir)
	for _, path := range []string{"consents.ndjson", "openings/000.p/112", "tile/0/000.p/112"} {
		if err := errors.Join(os.Rename(filepath.Join(folder, path), filepath.Join(folder, "kept")),
			syscall.Mkfifo(filepath.Join(folder, path), 0o600)); err != nil {
			t.Fatal(err)
		}
		audited(t, exitFailed, []string{path + `.* is no file`}, folder)
		if err := os.Rename(filepath.Join(folder, "kept"), filepath.Join(folder, path)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLedgerExportPostgres exports from PostgreSQL, and is refused where the ledger is not what was committed.
func TestLedgerExportPostgres(t *testing.T) {
	t.Parallel()
	url, kek := pgtest.Database(t, "", nil), filepath.Join(t.TempDir(), "kek")
	o, _ := proved(t, "--database", url, "--kek-file", kek)
	audited(t, 0, holds, exported(t, o, "--database", url, "--kek-file", kek))
}

// TestLedgerExportRefuses tells what to do about each mistake.
func TestLedgerExportRefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, _ := proved(t, "--data", dir)
	for _, tc := range []struct {
		code int
		says string
		args []string
	}{
		{exitFailed, "is not empty", []string{"ledger", "export", dir, "--data", dir, "--organization", o.organization}},
		{exitUsage, `there is no organization "nobody"`, []string{"ledger", "export", filepath.Join(dir, "out"), "--data",
			dir, "--organization", "nobody"}},
		{exitUsage, "not the folder of a ledger", []string{"ledger", "audit", t.TempDir()}},
		{exitUsage, "not the folder of a ledger", []string{"ledger", "audit", filepath.Join(dir, "nowhere")}},
	} {
		p := command(t, nil, tc.args...)
		if p.code != tc.code {
			t.Errorf("%v: exit code %d", tc.args, p.code)
		}
		hold(t, "the message", p.errOut.String(), tc.says)
	}
	plant(`UPDATE events SET ident = x'7b7d' WHERE sequence = 72`)(t, dir)
	p := command(t, nil, "ledger", "export", filepath.Join(dir, "out"), "--data", dir, "--organization", o.organization)
	if p.code != exitFailed {
		t.Errorf("a changed ledger: exit code %d", p.code)
	}
	hold(t, "the message", p.errOut.String(), "entry 72: the ledger is not what was committed; consentd ledger verify")
}

// TestLedgerAuditBitFlips flips bits of a folder: each is found, but where a line says by which id an entry is known
// here, or what part of a millisecond it was recorded in, to which no leaf commits.
func TestLedgerAuditBitFlips(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, _ := proved(t, "--data", dir)
	folder := exported(t, o, "--data", dir)
	var files []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if d != nil && !d.IsDir() && d.Name() != "README.txt" {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	// Each bit of what the entries are is found.
	openings := filepath.Join(folder, "openings", "000.p", "112")
	kinds := regexp.MustCompile(`"kind":"([a-z_]+)"`)
	seen := map[string]bool{}
	for _, span := range kinds.FindAllSubmatchIndex([]byte(readFile(t, openings)), -1) {
		before := []byte(readFile(t, openings))
		kind := string(before[span[2]:span[3]])
		for bit := 0; bit < 8*(span[3]-span[2]) && !seen[kind]; bit++ {
			after := bytes.Clone(before)
			after[span[2]+bit/8] ^= 1 << (bit % 8)
			writeFile(t, openings, string(after))
			faults := 0
			_, err := audit.Verify(context.Background(), folder, audit.Options{Fault: func(string) { faults++ }})
			if err == nil && faults == 0 {
				t.Errorf("bit %d of the kind %s was not found", bit, kind)
			}
		}
		seen[kind] = true
		writeFile(t, openings, string(before))
	}
	if len(seen) < 3 {
		t.Errorf("only kinds %v were looked at", seen)
	}
	uncommitted := regexp.MustCompile(`"id":"[^"]*"|\d{3}Z|"from": "[^"]*"|"fromSize": \d+`)
	rounds := 2000
	if testing.Short() {
		rounds = 50
	}
	for range rounds {
		path := files[rand.IntN(len(files))]
		before := []byte(readFile(t, path))
		at, bit := rand.IntN(len(before)), byte(1)<<rand.IntN(8)
		after := bytes.Clone(before)
		after[at] ^= bit
		writeFile(t, path, string(after))
		faults := 0
		_, err := audit.Verify(context.Background(), folder, audit.Options{Fault: func(string) { faults++ }})
		if err == nil && faults == 0 {
			excused := strings.EqualFold(string(before), string(after)) // a digit of an id, in hex
			for _, span := range uncommitted.FindAllIndex(before, -1) {
				excused = excused || at >= span[0] && at < span[1]
			}
			if !excused {
				t.Errorf("%s: bit %08b of byte %d was not found: %.200q", path, bit, at, after[max(0, at-100):])
			}
		}
		writeFile(t, path, string(before))
	}
}

// signedAs makes a checkpoint as somebody could who has the key file.
func signedAs(t *testing.T, keyFile, origin string, size int64, root [32]byte) string {
	t.Helper()
	file, err := sealing.Load(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := file.SigningKey()
	signer, err := ledger.NewSigner(origin, key.Private())
	if err != nil {
		t.Fatal(err)
	}
	note, err := ledger.Sign(&ledger.Checkpoint{Origin: origin, Size: size, Root: root}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(note)
}
