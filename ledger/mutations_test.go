package ledger

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/consentd/consentd/internal/mutation"
)

// fewMutations are as many as take a second or two.
const fewMutations = 20_000

var (
	mutations    = flag.Int("mutations", fewMutations, "how many changed notes and proofs are verified")
	mutationSeed = flag.Uint64("mutation-seed", uint64(time.Now().UnixNano()), "of the changes")
)

// tally counts what became of changes, by what was changed and how.
type tally map[string]*[3]int

const (
	refused = iota
	spelled // taken: it says the same in other bytes
	whole   // not changed at all
)

func (n tally) add(what, kind string, outcome int) {
	for _, name := range []string{what, what + ", " + kind} {
		if n[name] == nil {
			n[name] = &[3]int{}
		}
		n[name][outcome]++
	}
}

func (n tally) log(t *testing.T) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(n)) {
		t.Logf("%-28s %9d refused, %7d the same in other bytes, %7d not changed", name, n[name][refused], n[name][spelled],
			n[name][whole])
	}
}

// mutant is something valid that is verified when it was changed.
type mutant struct {
	what  string
	valid [][]byte
	reads func(changed []byte) (says string, err error) // what it says, where it is verified
	says  []string                                      // of each valid one
}

// mutants are notes, proofs and proofs of consistency of one ledger.
func mutants(t *testing.T) []*mutant {
	t.Helper()
	p := newProvable(t, 40)
	witness, cosigner := testKey(t, "witness.example", 2)
	verifiers := note.VerifierList(remembering(must(p.verifiers.Verifier(testOrigin, p.signer.KeyHash()))),
		remembering(cosigner))
	notes := &mutant{what: "note", reads: func(b []byte) (string, error) { return readNote(b, verifiers) }}
	proofs := &mutant{what: "proof", reads: func(b []byte) (string, error) { return readProof(b, verifiers) }}
	grown := &mutant{what: "consistency"}
	older, _ := p.checkpoint(t, 13)
	newer, _ := p.checkpoint(t, 40)
	grown.reads = func(b []byte) (string, error) { return readConsistency(b, older, newer) }
	for _, size := range []int64{13, 37, 40} {
		c, signed := p.checkpoint(t, size)
		notes.valid = append(notes.valid, signed, must(Sign(c, p.signer, witness)))
		for _, index := range []int64{0, 5, size - 1} {
			made := p.prove(t, index, size)
			made.Event = fmt.Sprintf("event-%d", index)
			proofs.valid = append(proofs.valid, must(json.Marshal(made)))
		}
	}
	made := must(ProveConsistency(p.reader(), 13, 40))
	grown.valid = append(grown.valid, must(json.Marshal(made)), must(json.MarshalIndent(made, "", " ")))
	all := []*mutant{notes, proofs, grown}
	for _, m := range all {
		for _, valid := range m.valid {
			m.says = append(m.says, must(m.reads(valid)))
		}
	}
	return all
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// remembered is a verifier that remembers what it found, since most changes of a proof leave its note as it is.
type remembered struct {
	note.Verifier
	known map[[2]string]bool
}

func remembering(v note.Verifier) note.Verifier { return remembered{v, map[[2]string]bool{}} }

func (r remembered) Verify(message, signature []byte) bool {
	of := [2]string{string(message), string(signature)}
	found, known := r.known[of]
	if !known {
		if len(r.known) > 10_000 {
			clear(r.known)
		}
		found = r.Verifier.Verify(message, signature)
		r.known[of] = found
	}
	return found
}

// readNote gives what a note says: its text, to the byte. By whom else it is signed is not said by it.
func readNote(b []byte, verifiers note.Verifiers) (string, error) {
	_, n, err := Open(b, testOrigin, verifiers)
	if err != nil {
		return "", err
	}
	return n.Text, nil
}

// readProof gives what a proof says: which leaf is at which index of which checkpoint, and the hashes that show it. The
// event's id is the reader's own.
func readProof(b []byte, verifiers note.Verifiers) (string, error) {
	var p Proof
	if err := json.Unmarshal(b, &p); err != nil {
		return "", err
	}
	if err := p.Verify(testOrigin, verifiers); err != nil {
		return "", err
	}
	text, err := readNote(p.Checkpoint, verifiers)
	return fmt.Sprintf("%d %d %x %x %s", p.Index, p.Size, p.Leaf, p.Hashes, text), err
}

func readConsistency(b []byte, older, newer *Checkpoint) (string, error) {
	var p Consistency
	if err := json.Unmarshal(b, &p); err != nil {
		return "", err
	}
	if err := p.Verify(older, newer); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %d %x", p.From, p.To, p.Hashes), nil
}

// try verifies something changed.
func (m *mutant) try(kind string, changed []byte, counts tally) (fault string) {
	defer func() {
		if r := recover(); r != nil {
			fault = fmt.Sprint("panic: ", r)
		}
	}()
	says, err := m.reads(changed)
	switch {
	case err != nil:
		counts.add(m.what, kind, refused)
	case !slices.Contains(m.says, says):
		return "it is taken, and says " + says
	case slices.ContainsFunc(m.valid, func(valid []byte) bool { return bytes.Equal(valid, changed) }):
		counts.add(m.what, kind, whole)
	default:
		counts.add(m.what, kind, spelled)
	}
	return ""
}

// TestMutations: whatever is changed in notes and proofs, what is taken says to the byte what one of the valid ones
// says, and nothing panics.
func TestMutations(t *testing.T) {
	all, counts := mutants(t), tally{}
	m := mutation.New(*mutationSeed)
	began := time.Now()
	for n := range *mutations {
		of := all[[]int{0, 0, 1, 1, 1, 1, 1, 2, 2, 2}[n%10]]
		valid, other := of.valid[m.Pick(len(of.valid))], of.valid[m.Pick(len(of.valid))]
		kind, changed := m.Change(valid, other)
		if fault := of.try(kind, changed, counts); fault != "" {
			t.Fatalf("seed %d: %s, %s: %s\n%q", *mutationSeed, of.what, kind, fault, changed)
		}
	}
	if *mutations > fewMutations {
		counts.log(t)
		t.Logf("%d changes in %s, seed %d", *mutations, time.Since(began).Round(time.Millisecond), *mutationSeed)
	}
	for _, of := range all {
		if c := counts[of.what]; c == nil || c[refused] == 0 {
			t.Errorf("no changed %s was refused", of.what)
		}
	}
}

// TestKeptMutations are changes that are worth remembering: what is taken though its bytes are others, and what looks
// the same and is not taken. A file holds one; its name says which, of what, and why.
func TestKeptMutations(t *testing.T) {
	all := map[string]*mutant{}
	for _, m := range mutants(t) {
		all[m.what] = m
	}
	files, err := filepath.Glob("testdata/mutations/*")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		content := must(os.ReadFile(file))
		what, outcome, ok := strings.Cut(filepath.Base(file), "-")
		if m := all[what]; !ok || m == nil {
			t.Errorf("%s: a name that says nothing", file)
			continue
		}
		counts := tally{}
		if fault := all[what].try("kept", content, counts); fault != "" {
			t.Errorf("%s: %s", file, fault)
			continue
		}
		if taken := counts[what][spelled] > 0; taken != strings.HasPrefix(outcome, "taken") {
			t.Errorf("%s: taken: %t", file, taken)
		}
	}
}
