package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/consentd/consentd/internal/store/sqlite"
)

// witnessed is a server whose checkpoints a real witness cosigns.
type witnessed struct {
	signedStore
	w    *litewitness
	vkey string // of the ledger
}

func (s *witnessed) ledger(path string) (int, []byte) {
	s.Helper()
	return call(s.T, "GET", s.p.url+"/api/v1/organizations/"+s.of.organization+path,
		map[string]string{"Authorization": "Bearer " + rootKey}, "")
}

// cosigned waits for a cosigned checkpoint of so many entries behind those that a ledger begins with, has others verify
// it, and gives it.
func (s *witnessed) cosigned(size int) (text []byte) {
	s.Helper()
	size += firstEntries
	s.awaitLong(fmt.Sprintf("a cosigned checkpoint of %d entries", size), func() bool {
		var status int
		status, text = s.ledger("/ledger/checkpoint?cosigned=true")
		return status == 200 && strings.Contains(string(text), fmt.Sprintf("\n%d\n", size))
	})
	own, err := note.NewVerifier(s.vkey)
	if err != nil {
		s.Fatal(err)
	}
	witness, err := formats.NewVerifierForCosignatureV1(s.w.vkey)
	if err != nil {
		s.Fatal(err)
	}
	said, _, n, err := log.ParseCheckpoint(text, own.Name(), own, witness)
	if err != nil || said.Size != uint64(size) || len(n.Sigs) != 2 || len(n.UnverifiedSigs) > 0 {
		s.Fatalf("others read %s as %v, %v: %v", text, said, n, err)
	}
	at, err := formats.CoSigV1Timestamp(n.Sigs[1])
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		s.Errorf("cosigned at %s, %v", at, err)
	}
	return text
}

// awaitLong waits for what happens after pauses of the server.
func (s *witnessed) awaitLong(what string, done func() bool) {
	s.Helper()
	for began := time.Now(); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			s.Fatalf("waited in vain for %s; the server says:\n%s", what, s.p.errOut.String())
		}
	}
}

// metric reads one of the witness's; -1: it is not there.
func (s *witnessed) metric(name, more string) float64 {
	s.Helper()
	_, answer := call(s.T, "GET", s.p.url+"/metrics", nil, "")
	found := regexp.MustCompile(`(?m)^` + name + `\{` + more + `witness="witness\.example/w1\+[0-9a-f]{8}"\} (\S+)$`).
		FindSubmatch(answer)
	if found == nil {
		return -1
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		s.Fatal(err)
	}
	return value
}

func (s *witnessed) asked(outcome string) float64 {
	s.Helper()
	return s.metric("consentd_witness_requests_total", `outcome="`+outcome+`",`)
}

// begin starts a server without a witness, to learn what the witness is to know, and then with it.
func (s *witnessed) begin() {
	s.Helper()
	s.serve()
	s.of = newTenant(s.T, s.p)
	s.record("ada", "bob", "cem")
	s.checkpoint(3)
	var keys struct{ Items []struct{ Key string } }
	if status, answer := s.ledger("/ledger/keys"); status != 200 || json.Unmarshal(answer, &keys) != nil {
		s.Fatalf("%d %s", status, answer)
	}
	s.vkey = keys.Items[0].Key
	s.p.stop(s.T)
	s.w.know(s.T, s.vkey)
	s.w.start(s.T)
	s.args = append(s.args, "--witness", "http://"+s.w.address+"="+s.w.vkey)
	s.serve()
}

// TestLitewitness has a witness that others wrote cosign the checkpoints of a real server: what it gave verifies by
// others' readers, and in a bundle of evidence. While it is away all goes on, and metrics and doctor tell; it catches
// up. A store that is put back and written to gets no cosignature, and no signature of ours.
func TestLitewitness(t *testing.T) {
	t.Parallel()
	dir, backup := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup.db")
	s := &witnessed{w: newLitewitness(t), signedStore: signedStore{T: t,
		args: []string{"--data", dir, "--ledger-name", "ledger.example/test"}}}
	s.begin()
	s.cosigned(3)
	if n := s.asked("cosigned"); n != 1 {
		t.Errorf("%v cosigned", n)
	}
	s.evidence(dir)
	if p := command(t, nil, "backup", "--data", dir, "--to", backup); p.code != 0 {
		t.Fatal(p.errOut.String())
	}
	s.away(dir)
	s.putBack(dir, backup)
}

// evidence asks for a bundle that is under the cosigned checkpoint, and verifies it.
func (s *witnessed) evidence(dir string) {
	s.Helper()
	events := allEvents(s.T, s.p, s.of)
	status, zip := s.ledger("/subjects/" + events[0].Person + "/evidence")
	if status != 200 {
		s.Fatalf("%d %s", status, zip)
	}
	file := filepath.Join(s.TempDir(), "evidence.zip")
	writeFile(s.T, file, string(zip))
	p := command(s.T, nil, "verify", "--vkey", s.vkey, "--vkey", s.w.vkey, file)
	if p.code != 0 {
		s.Errorf("verify: %d %s", p.code, p.out.String())
	}
	hold(s.T, "verify", p.out.String(), "The witness witness.example/w1 saw this ledger on ", "All checks hold")
	p = command(s.T, nil, "doctor", "--data", dir, "--witness", "http://"+s.w.address+"="+s.w.vkey)
	hold(s.T, "doctor", p.out.String(), "has cosigned the newest checkpoint of each ledger")
}

// away kills the witness, and starts it again.
func (s *witnessed) away(dir string) {
	s.Helper()
	s.w.kill(s.T)
	for i := range 3 {
		began := time.Now()
		s.record(fmt.Sprint("late-", i))
		s.checkpoint(4 + i)
		if took := time.Since(began); took > 5*time.Second { // a second, on a machine that is idle
			s.Errorf("signed %s after the write", took)
		}
	}
	s.awaitLong("metrics that tell", func() bool {
		return s.metric("consentd_witness_behind_entries", "") == 3 && s.asked("failed") > 0
	})
	if n := s.metric("consentd_witness_behind_ledgers", ""); n != 1 {
		s.Errorf("behind with %v ledgers", n)
	}
	p := command(s.T, nil, "doctor", "--data", dir, "--witness", "http://"+s.w.address+"="+s.w.vkey)
	hold(s.T, "doctor", p.out.String(), "has not cosigned the newest checkpoint of 1 ledger, never any of 0 of them, and "+
		"is behind by 3 entries at most")
	hold(s.T, "the log", s.p.errOut.String(), "a witness could not cosign; it is tried again, and delays nothing")
	if status, text := s.ledger("/ledger/checkpoint?cosigned=true"); status != 200 ||
		!strings.Contains(string(text), fmt.Sprintf("\n%d\n", firstEntries+3)) {
		s.Errorf("the cosigned checkpoint is %d %s", status, text)
	}
	s.w.start(s.T)
	s.cosigned(6)
	s.awaitLong("metrics that tell of nothing", func() bool {
		return s.metric("consentd_witness_behind_entries", "") == 0
	})
}

// putBack puts back the store from when it had 3 entries, and writes others: with the journals nothing is signed; and
// without them what is signed is not cosigned.
func (s *witnessed) putBack(dir, backup string) {
	s.Helper()
	s.p.signal(s.T, syscall.SIGKILL)
	s.p.wait(s.T, 10*time.Second)
	for _, name := range []string{"", "-wal", "-shm"} {
		runProgram(s.T, "rm", "-f", filepath.Join(dir, sqlite.FileName+name))
	}
	runProgram(s.T, "cp", backup, filepath.Join(dir, sqlite.FileName))
	s.serve()
	s.record("gus", "hal", "ian", "joe", "kim")
	waitFor(s.T, "it is behind", func() bool {
		return strings.Contains(s.p.errOut.String(), "no checkpoint was signed: the store is behind")
	})
	s.checkpoint(3)
	s.cosigned(3)
	s.p.stop(s.T)

	s.args = append(s.args, "--journals", "off")
	s.serve()
	s.checkpoint(8)
	s.awaitLong("the witness refuses", func() bool { return s.asked("forked") > 0 })
	s.cosigned(3)
	hold(s.T, "the log", s.p.errOut.String(), "it has seen another history", "consentd ledger recover")
	if n := s.w.sees(s.T); n != firstEntries+6 {
		s.Errorf("the witness has seen %d entries, want %d", n, firstEntries+6)
	}
	if n := s.asked("cosigned"); n != 0 {
		s.Errorf("%v cosigned", n)
	}
	s.p.stop(s.T)
}
