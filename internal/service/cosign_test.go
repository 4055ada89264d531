package service_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/logtest"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/witness"
	"github.com/consentd/consentd/ledger"
)

// observer is a witness, written from the text of C2SP tlog-witness; cmd/consentd tests against one that others wrote.
type observer struct {
	t       testing.TB
	name    string
	key     ed25519.PrivateKey
	address *witness.Address
	fault   atomic.Pointer[http.HandlerFunc] // answers in its place
	asked   atomic.Int64

	mu    sync.Mutex
	keys  map[string]note.Verifier // of the ledgers that it knows, by origin
	seen  map[string]*ledger.Checkpoint
	times map[string][]time.Time // when it cosigned
}

func newObserver(t testing.TB, name string, known ...consent.Actor) *observer {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	o := &observer{t: t, name: name, key: ed25519.NewKeyFromSeed(seed[:]), keys: map[string]note.Verifier{},
		seen: map[string]*ledger.Checkpoint{}, times: map[string][]time.Time{}}
	for _, a := range known {
		o.know(t, a)
	}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	var err error
	o.address, err = witness.Parse(fmt.Sprintf("%s=%s+%08x+%s", server.URL, name, o.id(),
		base64.StdEncoding.EncodeToString(o.public())))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *observer) know(t testing.TB, a consent.Actor) {
	t.Helper()
	text, err := ledger.VerifierKey(origin(a), sealingtest.SigningKey().Private().Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys[origin(a)] = verifier
}

func (o *observer) public() []byte { return append([]byte{4}, o.key.Public().(ed25519.PublicKey)...) }

func (o *observer) id() uint32 {
	sum := sha256.Sum256(append([]byte(o.name+"\n"), o.public()...))
	return binary.BigEndian.Uint32(sum[:])
}

func (o *observer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.asked.Add(1)
	body, err := io.ReadAll(r.Body)
	if fault := o.fault.Load(); fault != nil {
		(*fault)(w, r)
		return
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/add-checkpoint" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	status, answer := o.add(string(body))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (o *observer) breaks(with http.HandlerFunc) { o.fault.Store(&with) }
func (o *observer) mends()                       { o.fault.Store(nil) }

// add answers a call.
func (o *observer) add(body string) (status int, answer string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	head, signed, _ := strings.Cut(body, "\n\n")
	lines := strings.Split(head, "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	name, _, _ := strings.Cut(signed, "\n")
	key := o.keys[name]
	if key == nil {
		return http.StatusNotFound, ""
	}
	n, err2 := note.Open([]byte(signed), note.VerifierList(key))
	if err2 != nil {
		return http.StatusForbidden, ""
	}
	next, err3 := ledger.ParseCheckpoint(n.Text)
	if err != nil || err3 != nil || old > next.Size {
		return http.StatusBadRequest, ""
	}
	seen := o.seen[name]
	if seen == nil {
		seen = &ledger.Checkpoint{}
	}
	if old != seen.Size || old == next.Size && next.Root != seen.Root {
		return http.StatusConflict, fmt.Sprintf("%d\n", seen.Size)
	}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return http.StatusBadRequest, ""
		}
		proof = append(proof, hash)
	}
	if old > 0 && tlog.CheckTree(proof, next.Size, next.Root, old, seen.Root) != nil || old == 0 && len(proof) > 0 {
		return http.StatusUnprocessableEntity, ""
	}
	o.seen[name] = next
	o.times[name] = append(o.times[name], time.Now())
	return http.StatusOK, o.line(n.Text)
}

func (o *observer) line(text string) string {
	seconds := uint64(time.Now().Unix())
	sig := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, o.id()), seconds)
	sig = append(sig, ed25519.Sign(o.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text))...)
	return "— " + o.name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

// sees is how much it has seen of a ledger.
func (o *observer) sees(a consent.Actor) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.seen[origin(a)]; c != nil {
		return c.Size
	}
	return 0
}

func (o *observer) verifier(t testing.TB) *ledger.Cosigner {
	t.Helper()
	v, err := ledger.NewVerifier(o.address.Key)
	if err != nil {
		t.Fatal(err)
	}
	return v.(*ledger.Cosigner)
}

// witnessed is a service that sends to witnesses, in tests more often than in life.
type witnessed struct {
	*service.Service
	log      logtest.Buffer
	mu       sync.Mutex
	outcomes map[string]int
}

const oftenEnough = 50 * time.Millisecond

func serveWitnessed(t testing.TB, s service.Store, kept service.Checkpoints, every time.Duration,
	observers ...*observer) *witnessed {
	t.Helper()
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &witnessed{outcomes: map[string]int{}}
	o := service.Options{Store: s, Keys: sealingtest.Ring(), SigningKey: sealingtest.SigningKey(),
		LedgerName: ledgerName, Places: places, Checkpoints: kept, CosignEvery: every,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)), Witnessed: w.add}
	for _, one := range observers {
		o.Witnesses = append(o.Witnesses, one.address)
	}
	w.Service = service.New(o)
	t.Cleanup(w.Close)
	return w
}

func (w *witnessed) add(of, outcome string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[outcome]++
}

func (w *witnessed) count(outcome string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outcomes[outcome]
}

// records lets so many people decide something.
func (w *witnessed) records(t testing.TB, a consent.Actor, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := w.Record(context.Background(), a, write(item(user(name)))); err != nil {
			t.Fatal(err)
		}
	}
}

// cosigned waits until the newest cosigned checkpoint has a size and the cosignatures of some witnesses, and gives it.
func (w *witnessed) cosigned(t testing.TB, a consent.Actor, size int64, by ...*observer) []byte {
	t.Helper()
	all := []note.Verifier{}
	for _, o := range by {
		all = append(all, o.verifier(t))
	}
	own, err := verifiers(t, a).Verifier(origin(a), ownHash(t, a))
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	awaitLong(t, fmt.Sprintf("%d entries, cosigned by %d", size, len(by)), func() bool {
		text, is, err := w.CosignedCheckpoint(context.Background(), a)
		if err != nil || is != size {
			return false
		}
		said, n, err := ledger.Open(text, origin(a), note.VerifierList(append(all, own)...))
		if err != nil || said.Size != size {
			t.Fatalf("%s: %v", text, err)
		}
		got = text
		return len(n.Sigs) == 1+len(by) && len(n.UnverifiedSigs) == 0
	})
	return got
}

func ownHash(t testing.TB, a consent.Actor) uint32 {
	t.Helper()
	signer, err := ledger.NewSigner(origin(a), sealingtest.SigningKey().Private())
	if err != nil {
		t.Fatal(err)
	}
	return signer.KeyHash()
}

// TestWitnessesCosign: what is there at start and what is written is cosigned by all witnesses on one note, which the
// newest checkpoint shows too; a proof and a bundle have it.
func TestWitnessesCosign(t *testing.T) {
	h := newHarness(t)
	a, b := h.bare(t), h.bare(t)
	ids := h.people(t, a, 0, 3)
	h.people(t, b, 0, 1)
	one, two := newObserver(t, "one.example/w", a, b), newObserver(t, "two.example/w", a, b)
	w := serveWitnessed(t, h.store, nil, oftenEnough, one, two)
	w.cosigned(t, a, 3, one, two)
	w.cosigned(t, b, 1, one, two)
	for i := range 5 {
		w.records(t, a, fmt.Sprint("late-", i))
		text := w.cosigned(t, a, int64(4+i), one, two)
		newest, err := w.Checkpoint(t.Context(), a)
		if err != nil || !bytes.Equal(newest.Note, text) {
			t.Fatalf("the newest checkpoint is %s, want %s: %v", newest.Note, text, err)
		}
		p, err := w.LedgerProof(t.Context(), a, ids[0], 0)
		if err != nil || !bytes.Equal(p.Checkpoint, text) {
			t.Fatalf("a proof has the checkpoint %s, %v", p.Checkpoint, err)
		}
	}
	if text := w.log.String(); text != "" {
		t.Error(text)
	}
	if n := w.count(service.CosignDone); n != 14 || len(w.outcomes) != 1 {
		t.Errorf("the outcomes are %v, want 14 %s", w.outcomes, service.CosignDone)
	}
	for _, o := range []*observer{one, two} { // each was known where it stood
		if n := o.asked.Load(); n != 7 {
			t.Errorf("%s was asked %d times", o.name, n)
		}
	}
	awaitLong(t, "nothing is behind", func() bool { return lagOf(w, 0) == consent.WitnessLag{} })
}

func lagOf(w *witnessed, of int) consent.WitnessLag {
	if lags := w.WitnessLags(); of < len(lags) {
		return lags[of].WitnessLag
	}
	return consent.WitnessLag{Ledgers: -1}
}

// TestCosignedNoMoreOftenThan: many writes, few requests, and the last one is cosigned all the same.
func TestCosignedNoMoreOftenThan(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	o := newObserver(t, "one.example/w", a)
	const every = 700 * time.Millisecond
	w := serveWitnessed(t, h.store, nil, every, o)
	writes := int64(0)
	for began := time.Now(); time.Since(began) < 3*every; time.Sleep(50 * time.Millisecond) {
		w.records(t, a, "ada")
		writes++
	}
	w.cosigned(t, a, writes, o)
	o.mu.Lock()
	defer o.mu.Unlock()
	times := o.times[origin(a)]
	for i := 1; i < len(times); i++ {
		if gap := times[i].Sub(times[i-1]); gap < every-100*time.Millisecond {
			t.Errorf("cosigned %s after the one before", gap)
		}
	}
	if len(times) < 3 || len(times) > 7 {
		t.Errorf("cosigned %d times", len(times))
	}
}

// TestAwayWitnessDelaysNothing: while one is away, writes, checkpoints and the other witness's cosignatures go on, and
// how far it is behind is known. Once it is there again it catches up.
func TestAwayWitnessDelaysNothing(t *testing.T) {
	for name, fault := range map[string]http.HandlerFunc{
		"out of order": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"silent":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"babbling":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>\n") },
		"lying": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, "1\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			a := h.bare(t)
			there, away := newObserver(t, "one.example/w", a), newObserver(t, "two.example/w", a)
			w := serveWitnessed(t, h.store, nil, oftenEnough, there, away)
			w.records(t, a, "ada", "bob")
			w.cosigned(t, a, 2, there, away)
			away.breaks(fault)
			for i := range 4 {
				w.records(t, a, fmt.Sprint("late-", i))
				began := time.Now()
				if !w.AwaitCheckpoint(t.Context(), a, int64(3+i), 5*time.Second) {
					t.Fatal("nothing was signed")
				}
				w.cosigned(t, a, int64(3+i), there)
				if took := time.Since(began); took > 6*time.Second { // an attempt that hangs takes 8
					t.Errorf("it took %s", took)
				}
			}
			awaitLong(t, "it is behind", func() bool { return lagOf(w, 1).Entries == 4 && lagOf(w, 0).Ledgers == 0 })
			away.mends()
			awaitLong(t, "it catches up", func() bool { return away.sees(a) == 6 })
			w.cosigned(t, a, 6, there, away)
			if !strings.Contains(w.log.String(), "could not cosign") && name != "silent" {
				t.Errorf("the log says %s", w.log.String())
			}
		})
	}
}

// TestForksAreNotCosigned: a ledger of which the witness has seen more, or others, gets no cosignature: the log tells
// what to do, and the metric. Where it is signed, that goes on.
func TestForksAreNotCosigned(t *testing.T) {
	for name, entries := range map[string]int{"shorter": 3, "as long": 5, "longer": 7} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, forked := newHarness(t), newHarness(t)
			a := h.bare(t)
			o := newObserver(t, "one.example/w", a)
			w := serveWitnessed(t, h.store, nil, oftenEnough, o)
			w.records(t, a, "ada", "bob", "cem", "dan", "eve")
			w.cosigned(t, a, 5, o)
			w.Close()

			b := forked.bare(t)
			o.seen[origin(b)], o.keys[origin(b)] = o.seen[origin(a)], nil
			o.know(t, b)
			second := serveWitnessed(t, forked.store, nil, oftenEnough, o)
			forked.people(t, b, 0, entries)
			second.records(t, b, "gus")
			awaitLong(t, "it is told", func() bool { return second.count(service.CosignForked) > 0 })
			if _, _, err := second.CosignedCheckpoint(t.Context(), b); !consent.IsKind(err, consent.NotFound) {
				t.Errorf("cosigned: %v", err)
			}
			if n := o.sees(b); n != 5 {
				t.Errorf("the witness has seen %d entries", n)
			}
			if n := second.count(service.CosignDone); n > 0 {
				t.Errorf("%d cosignatures", n)
			}
			awaitLong(t, "it is signed", func() bool {
				c, err := second.Checkpoint(t.Context(), b)
				return err == nil && c.Size == int64(entries+1)
			})
			if text := second.log.String(); strings.Count(text, "consentd ledger recover") != 1 ||
				!strings.Contains(text, "level=ERROR") {
				t.Errorf("the log says %s", text)
			}
		})
	}
}

// TestUnknownLedgers: a witness that does not know a ledger is told of in the log, and cosigns the others.
func TestUnknownLedgers(t *testing.T) {
	h := newHarness(t)
	a, b := h.bare(t), h.bare(t)
	h.people(t, a, 0, 2)
	h.people(t, b, 0, 3)
	o := newObserver(t, "one.example/w", b)
	w := serveWitnessed(t, h.store, nil, oftenEnough, o)
	w.cosigned(t, b, 3, o)
	awaitLong(t, "it is told", func() bool { return w.count(service.CosignUnknown) == 1 })
	w.records(t, a, "late")
	w.records(t, b, "late")
	w.cosigned(t, b, 4, o)
	if n := w.count(service.CosignUnknown); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	if text := w.log.String(); !strings.Contains(text, "does not know") || strings.Count(text, "\n") != 1 {
		t.Errorf("the log says %s", text)
	}
	behind := consent.WitnessLag{Ledgers: 1, Never: 1, Entries: 3}
	awaitLong(t, "it is behind", func() bool { return lagOf(w, 0) == behind })
}

// TestWitnessThatForgot: one that was put back itself is proved what it lacks; so is one that nothing is kept of.
func TestWitnessThatForgot(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	o := newObserver(t, "one.example/w", a)
	w := serveWitnessed(t, h.store, nil, oftenEnough, o)
	w.records(t, a, "ada", "bob", "cem")
	w.cosigned(t, a, 3, o)
	o.mu.Lock()
	before := *o.seen[origin(a)]
	o.mu.Unlock()
	w.records(t, a, "dan", "eve")
	w.cosigned(t, a, 5, o)
	o.mu.Lock()
	o.seen[origin(a)] = &before
	o.mu.Unlock()
	w.records(t, a, "fay")
	w.cosigned(t, a, 6, o)
	w.Close()
	h.damage(t, "DELETE FROM ledger_cosignatures")
	again := serveWitnessed(t, h.store, nil, oftenEnough, o)
	again.cosigned(t, a, 6, o) // the same size once more
	again.records(t, a, "gus")
	again.cosigned(t, a, 7, o)
	if text := w.log.String() + again.log.String(); text != "" {
		t.Error(text)
	}
}

// TestDamageIsNotProved: rows of the tree that were changed prove nothing, and no witness is told that it forked.
func TestDamageIsNotProved(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	h.record(t, a, itemsOf(40)...)
	o := newObserver(t, "one.example/w", a)
	w := serveWitnessed(t, h.store, nil, oftenEnough, o)
	w.cosigned(t, a, 40, o)
	w.Close()
	h.record(t, a, itemsOf(30)...)
	g := h.signing(t, h.store)
	g.checkpoint(t, a, 70)
	g.Close()
	h.damage(t, "UPDATE ledger_rows SET hashes = zeroblob(1024) WHERE number = 1") // which entry 40 is in
	w = serveWitnessed(t, h.store, nil, oftenEnough, o)
	awaitLong(t, "it is told", func() bool { return w.count(service.CosignFailed) > 0 })
	if o.sees(a) != 40 || w.count(service.CosignForked) > 0 {
		t.Errorf("seen %d, %v", o.sees(a), w.outcomes)
	}
}
