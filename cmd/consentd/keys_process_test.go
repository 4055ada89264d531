package main

import (
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

	"github.com/consentd/consentd/ledger"
)

// proofs fetches and verifies the proofs of some events.
func proofs(t *testing.T, p *process, o tenant, events []event) {
	t.Helper()
	base := p.url + "/api/v1/organizations/" + o.organization + "/ledger/"
	header := map[string]string{"Authorization": "Bearer " + rootKey}
	var keys struct {
		Items []struct {
			Key string `json:"key"`
		} `json:"items"`
	}
	var status int
	var answer []byte
	within(t, 20*time.Second, "the first checkpoint", func() bool {
		status, answer = call(t, "GET", base+"keys", header, "")
		if err := json.Unmarshal(answer, &keys); err != nil || status != 200 {
			t.Fatalf("the ledger's keys: %d %s %v", status, answer, err)
		}
		return len(keys.Items) > 0
	})
	verifier, err := ledger.NewVerifier(keys.Items[len(keys.Items)-1].Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		within(t, 20*time.Second, "a proof of "+e.ID, func() bool {
			status, answer = call(t, "GET", base+"proof?event="+e.ID, header, "")
			return status != 409
		})
		var proof ledger.Proof
		if err := json.Unmarshal(answer, &proof); err != nil || status != 200 {
			t.Fatalf("the proof of %s: %d %s %v", e.ID, status, answer, err)
		}
		if err := proof.Verify(verifier.Name(), note.VerifierList(verifier)); err != nil {
			t.Errorf("the proof of %s: %v", e.ID, err)
		}
	}
}

// TestRotateUnderLoad rotates, rewraps and retires while clients write: nothing that was acknowledged is lost, proofs
// verify before and after, also by servers that were never restarted, and of a copy of the database from before
// nothing is opened by today's key file.
func TestRotateUnderLoad(t *testing.T) {
	t.Parallel()
	onKeyed(t, func(k *keyed) {
		t := k.t
		fleet := make([]*process, k.servers)
		for i := range fleet {
			fleet[i] = k.serve()
		}
		load := &writers{t: t, tenant: newTenant(t, fleet[0]), lasting: true}
		load.move(fleet...)
		stop := load.start(6)
		waitFor(t, "300 acknowledged writes", func() bool { return load.acknowledged.Load() >= 300 || t.Failed() })
		copied, first := k.wrapped(), k.file().Newest().ID
		secrets := k.opened(copied)
		early := allEvents(t, fleet[0], load.tenant)[:20]
		proofs(t, fleet[0], load.tenant, early)

		rotated := k.must("rotate-kek")
		second := k.file().Newest().ID
		hold(t, "rotate-kek", rotated.out.String(), "Added the key "+second.String(), "Rewrapped ",
			"In use: "+second.String(), "Nothing is wrapped by "+first.String(), "consentd keys retire")
		from := load.acknowledged.Load()
		waitFor(t, "writes after the rotation", func() bool { return load.acknowledged.Load() > from+100 || t.Failed() })
		if n, all := k.by(); n != all || all < len(copied) {
			t.Errorf("the newest key wraps %d of %d secrets, at first there were %d", n, all, len(copied))
		}
		young := k.keys("retire")
		if young.code != exitFailed || len(k.file().KEKs()) != 2 {
			t.Errorf("a key that a server may still use is retired: %d, %s", young.code, young.out.String())
		}
		hold(t, "retire too early", young.errOut.String(), first.String(), "may wrap something by it until")
		k.age()
		retired := k.must("retire")
		hold(t, "retire", retired.out.String(), "Destroyed", first.String(), "Copies of the key file")
		from = load.acknowledged.Load()
		waitFor(t, "writes after the retirement", func() bool { return load.acknowledged.Load() > from+100 || t.Failed() })
		stop()
		for _, p := range fleet {
			load.compare(p)
			proofs(t, p, load.tenant, early)
		}
		now := k.wrapped()
		if n := len(k.opened(now)); n != len(now) {
			t.Errorf("%d of %d secrets open", n, len(now))
		}
		for p, secret := range k.opened(now) {
			if was, ok := secrets[p]; ok && was != secret {
				t.Errorf("the secret of %x is another", p.subject)
			}
		}
		if n := len(k.opened(copied)); n != 0 || len(secrets) != len(copied) {
			t.Errorf("of a copy from before %d of %d secrets open by today's key file", n, len(copied))
		}
		for _, p := range fleet {
			hold(t, "a server's log", p.errOut.String(), "took in the changed key file", "newest="+second.String())
			p.stop(t)
		}
		p := k.serve()
		proofs(t, p, load.tenant, early)
		load.compare(p)
		p.stop(t)
		healthy(t, k.env, k.args...)
	})
}

// filled starts a server and has it write about so many people.
func (k *keyed) filled(thousands int) (*process, tenant) {
	k.t.Helper()
	p := k.serve()
	o := newTenant(k.t, p)
	for range thousands {
		users := make([]string, 1000)
		for i := range users {
			users[i] = uuid.NewString()
		}
		if status, answer := call(k.t, "POST", p.url+o.eventsPath(), map[string]string{"x-api-key": rootKey},
			items(users...)); status/100 != 2 {
			k.t.Fatalf("write events: %d %s", status, answer)
		}
	}
	return p, o
}

// killed starts a command and kills it, once some condition holds and a moment later. It tells whether it was still
// running.
func (k *keyed) killed(when func() bool, args ...string) bool {
	k.t.Helper()
	p := k.launch(args...)
	for !ended(p) && !when() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(mathrand.IntN(3000)) * time.Microsecond)
	p.signal(k.t, syscall.SIGKILL)
	return p.wait(k.t, 10*time.Second) == -1
}

// same holds that every secret of before opens as what it was.
func (k *keyed) same(when string, before map[person][32]byte) {
	k.t.Helper()
	opened, wrong := k.opened(k.wrapped()), 0
	for p, secret := range before {
		if opened[p] != secret {
			wrong++
		}
	}
	if wrong > 0 || len(before) == 0 {
		k.t.Fatalf("%s: %d of %d secrets do not open as what they were", when, wrong, len(before))
	}
}

// rotate runs a rotation, and holds that it adds no key where an earlier one has just done so.
func (k *keyed) rotate(secrets map[person][32]byte, run func()) {
	k.t.Helper()
	before := len(k.file().KEKs())
	newest, all := k.by()
	run()
	most := before + 1
	if before > 1 { // the newest is minutes old
		most = before
	}
	if n := len(k.file().KEKs()); n > most {
		k.t.Fatalf("there were %d keys, the newest of which wrapped %d of %d; now there are %d", before, newest, all, n)
	}
	k.same("after a rotation", secrets)
}

// killedMidway kills a rotation that has begun to rewrap, and tells whether it was still running.
func (k *keyed) killedMidway() bool {
	k.t.Helper()
	changed := func() bool { return len(k.file().KEKs()) > 1 }
	from := 0
	if changed() {
		from, _ = k.by()
	}
	return k.killed(func() bool {
		n, _ := k.by()
		return changed() && n > from
	}, "rotate-kek")
}

// TestKilledKeys kills rotations and retirements at every step, and runs them again: no key is added in vain, all is
// rewrapped, and every secret is what it was.
func TestKilledKeys(t *testing.T) {
	t.Parallel()
	onKeyed(t, func(k *keyed) {
		t := k.t
		server, o := k.filled(4)
		events, secrets := allEvents(t, server, o), k.opened(k.wrapped())
		began := time.Now()
		early := func() bool { return time.Since(began) > time.Duration(mathrand.IntN(100))*time.Millisecond }
		changed := func() bool { return len(k.file().KEKs()) > 1 }
		for _, when := range []func() bool{early, early, changed} { // about when the file is changed
			began = time.Now()
			k.rotate(secrets, func() { k.killed(when, "rotate-kek") })
		}
		midway := 0
		for range 4 {
			if n, all := k.by(); n == all {
				k.must("rotate-kek", "--only-add")
			}
			k.rotate(secrets, func() {
				if k.killedMidway() {
					midway++
				}
			})
		}
		if midway == 0 {
			t.Error("no kill met a command that was rewrapping")
		}
		k.rotate(secrets, func() { k.must("rotate-kek") })
		if n, all := k.by(); n != all || all != 4001 {
			t.Errorf("after all of it %d of %d are by the newest key", n, all)
		}
		k.age()
		for range 4 {
			began = time.Now()
			k.killed(early, "retire")
			k.same("killed while it retires", secrets)
		}
		k.must("retire")
		if n := len(k.file().KEKs()); n != 1 {
			t.Errorf("%d keys are left", n)
		}
		k.same("retired", secrets)
		proofs(t, server, o, events[:10])
		server.stop(t)
		healthy(t, k.env, k.args...)
	})
}

// TestRotationsAtOnce: two commands that are started at once add one key, and both end well.
func TestRotationsAtOnce(t *testing.T) {
	t.Parallel()
	onKeyed(t, func(k *keyed) {
		t := k.t
		server, o := k.filled(2)
		both := []*process{k.launch("rotate-kek"), k.launch("rotate-kek")}
		for _, p := range both {
			if code := p.wait(t, time.Minute); code != 0 {
				t.Errorf("it ends with %d:\n%s%s", code, p.out.String(), p.errOut.String())
			}
		}
		if n := len(k.file().KEKs()); n != 2 {
			t.Errorf("the file has %d keys:\n%s%s", n, both[0].out.String(), both[1].out.String())
		}
		if n, all := k.by(); n != all || all != 2001 {
			t.Errorf("the newest key wraps %d of %d secrets", n, all)
		}
		proofs(t, server, o, allEvents(t, server, o)[:10])
		server.stop(t)
	})
}

// TestKeysCommands goes the way that an operator goes who copies the file to several machines, and meets each refusal.
func TestKeysCommands(t *testing.T) {
	t.Parallel()
	onKeyed(t, func(k *keyed) {
		t := k.t
		server, o := k.filled(1)
		first := k.file().Newest()
		says := func(what string, p *process, code int, parts ...string) {
			t.Helper()
			if p.code != code {
				t.Errorf("%s: exit code %d, want %d", what, p.code, code)
			}
			hold(t, what, p.out.String()+p.errOut.String(), parts...)
		}
		says("nothing to retire", k.keys("retire"), 0, "Nothing to retire", first.ID.String())
		says("the newest", k.keys("retire", first.ID.String()), exitFailed, "1001 secrets are wrapped by it")
		says("add only", k.keys("rotate-kek", "--only-add"), 0, "Added the key ", "Keep a copy")
		second := k.file().Newest()
		says("list", k.keys("list"), 0, "WRAPS", fmt.Sprintf("%s  %s        1001  in use; consentd keys rotate-kek",
			first.ID, stamp(first.Created)), fmt.Sprintf("%s  %s           0  newest", second.ID, stamp(second.Created)))
		says("in use", k.keys("retire"), exitFailed, first.ID.String()+": 1001 secrets are wrapped by it", "rotate-kek")
		says("the newest", k.keys("retire", second.ID.String()), exitFailed, "it is the newest")
		says("not there", k.keys("retire", "00000000"), exitFailed, "has no such key", "keys list")
		says("no id", k.keys("retire", "nonsense"), exitUsage, "8 hex digits", "keys list")
		says("rewrap", k.keys("rotate-kek"), 0, "An earlier rotation was not finished", "none was added",
			"Rewrapped 1001 secrets by the key "+second.ID.String())
		may := stamp(second.Created.Add(15 * time.Minute))
		says("list", k.keys("list"), 0, first.ID.String(), "not in use; may be retired from "+may)
		says("rotate at once", k.keys("rotate-kek"), 0, "The key "+second.ID.String()+" was added at "+stamp(second.Created)+
			", and none was added now. From "+may+" on", "Rewrapped 0 secrets", "In use: "+second.ID.String())
		if n := len(k.file().KEKs()); n != 2 {
			t.Errorf("%d keys after a rotation at once", n)
		}
		k.age()
		says("list", k.keys("list"), 0, "not in use; consentd keys retire destroys it")
		says("dry", k.keys("retire", "--dry-run"), 0, "Would destroy", first.ID.String(), k.place(), "No other store")
		says("one of two", k.keys("retire", first.ID.String(), second.ID.String()), exitFailed, second.ID.String())
		if n := len(k.file().KEKs()); n != 2 {
			t.Errorf("%d keys are left before anything was to be destroyed", n)
		}
		old, err := os.ReadFile(k.kek)
		if err != nil {
			t.Fatal(err)
		}
		says("retire", k.keys("retire", first.ID.String()), 0, "since nothing in "+k.place()+" is wrapped by it",
			"No other store", "Destroyed", "1 key left")
		says("again", k.keys("retire"), 0, "Nothing to retire")
		says("rotate again", k.keys("rotate-kek"), 0, "Added the key ", "Rewrapped 1001 secrets")
		third := k.file().Newest().ID.String()
		if err := os.WriteFile(k.kek, old, 0o600); err != nil { // the copy from before
			t.Fatal(err)
		}
		says("an older copy", k.keys("list"), exitFailed, third, "not in the file", "1001 secrets are wrapped by keys "+
			"that the key file lacks ("+third+": 1001)", "put back the copy")
		doctor := command(t, k.env, append([]string{"doctor"}, k.args...)...)
		says("doctor", doctor, exitFailed, "fail  keys", "1001 secrets are wrapped by keys that the key file lacks ("+third+
			": 1001)", "To do: put back the copy")
		verify := command(t, k.env, append([]string{"ledger", "verify"}, k.args...)...)
		says("ledger verify", verify, exitUsage, "the key file has no key "+third)
		proofs(t, server, o, allEvents(t, server, o)[:3]) // the server goes on by what it has
		within(t, 5*time.Second, "the server says so", func() bool {
			return strings.Contains(server.errOut.String(), "is an older copy")
		})
		server.stop(t)
	})
}

// TestKeysMistakes: without a store, without a key file, with another's.
func TestKeysMistakes(t *testing.T) {
	t.Parallel()
	dir, other, empty := t.TempDir(), t.TempDir(), t.TempDir()
	serveOn(t, dir, nil).stop(t)
	serveOn(t, other, nil).stop(t)
	for _, args := range [][]string{{"list"}, {"rotate-kek"}, {"retire"}} {
		for _, tc := range []struct {
			args []string
			code int
			says string
		}{
			{[]string{"--data", empty}, exitFailed, "consentd serve"},
			{[]string{"--data", dir, "--kek-file", filepath.Join(other, keyFileName)}, exitFailed, "is not the one"},
			{[]string{"--data", dir, "--kek-file", filepath.Join(empty, keyFileName)}, exitFailed,
				"restore it from its copy"},
			{[]string{"--database", "postgres://127.0.0.1:1/x"}, exitUsage, "--kek-file"},
		} {
			p := command(t, nil, append(append([]string{"keys"}, args...), tc.args...)...)
			if p.code != tc.code {
				t.Errorf("keys %v %v: exit code %d, want %d", args, tc.args, p.code, tc.code)
			}
			hold(t, strings.Join(args, " "), p.errOut.String(), tc.says)
		}
	}
	for _, path := range []string{filepath.Join(empty, keyFileName), filepath.Join(empty, "consentd.db")} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was made", path)
		}
	}
}
