package service_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// once is a protected write whose answer holds what was made and an e-mail address.
func withKey(key, body string) consent.Idempotency {
	return consent.Idempotency{Key: key, Fingerprint: sha256.Sum256([]byte(body)),
		Render: func(result any) ([]byte, error) {
			return fmt.Appendf(nil, "answer for %s to %s: %+v", secretMail, body, result), nil
		}}
}

const secretMail = "ada.in.the.answer@example.com"

func protected(key, body string, items ...consent.Item) consent.Write {
	w := write(items...)
	w.Idempotency = withKey(key, body)
	return w
}

func replayed(t tester, what string, err error) []byte {
	t.Helper()
	var r *consent.Replayed
	if !errors.As(err, &r) {
		t.Fatalf("%s: not replayed but %v", what, err)
	}
	return r.Answer
}

func TestRetryGetsTheFirstAnswer(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	organization := h.organization(t)
	a, _ := h.key(t, organization)
	first, err := h.svc.Record(ctx, a, protected("k1", "body", item(user("ada"))))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("answer for %s to body: %+v", secretMail, first)
	h.clock.add(24*time.Hour - time.Microsecond)
	_, err = h.svc.Record(ctx, a, protected("k1", "body", item(user("ada"))))
	if got := replayed(t, "a retry", err); string(got) != want {
		t.Errorf("the retry is answered\n%s, the first try\n%s", got, want)
	}
	_, err = h.svc.Record(ctx, a, protected("k1", "other body", item(user("ada"))))
	isKind(t, "the key with another request", err, consent.Unprocessable, "Idempotency-Key")
	if n := len(h.events(t, a)); n != 1 {
		t.Errorf("%d events", n)
	}
	// Another key of ours does not see it, nor does another credential of another organization.
	b, _ := h.key(t, organization)
	c, _ := h.key(t, h.organization(t))
	for _, other := range []consent.Actor{b, c, organization} {
		if _, err := h.svc.Record(ctx, other, protected("k1", "other body", item(user("ada")))); err != nil {
			t.Errorf("another key with the same Idempotency-Key: %v", err)
		}
	}
	// After 24 hours it is a new write.
	h.clock.add(time.Microsecond)
	if _, err = h.svc.Record(ctx, a, protected("k1", "other body", item(user("ada")))); err != nil {
		t.Errorf("after 24 hours: %v", err)
	}
}

// TestRetryOfEveryWrite: each protected call answers its retry and does nothing twice.
func TestRetryOfEveryWrite(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a, _ := h.key(t, h.organization(t))
	doomed, _ := h.key(t, h.organization(t))
	save(t, h, a, consent.SaveSubject{Type: "user", Name: "doomed"})
	calls := map[string]func(consent.Idempotency) error{
		"deleted subject": func(o consent.Idempotency) error {
			return h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: "user", Name: "doomed", Idempotency: o})
		},
		"revoked key": func(o consent.Idempotency) error {
			return h.svc.RevokeKey(ctx, h.mustIn(t, doomed.Organization), doomed.Key, o)
		},
		"organization": func(o consent.Idempotency) error {
			_, err := h.svc.CreateOrganization(ctx, h.root, consent.NewOrganization{Name: "Again"}, o)
			return err
		},
		"project": func(o consent.Idempotency) error {
			_, err := h.svc.CreateProject(ctx, a, consent.NewProject{Name: "again"}, o)
			return err
		},
		"key": func(o consent.Idempotency) error {
			_, err := h.svc.CreateKey(ctx, a, consent.NewKey{Name: "again", Scopes: []consent.Scope{consent.ConsentsRead}}, o)
			return err
		},
		"purpose": func(o consent.Idempotency) error {
			_, err := h.svc.CreatePurpose(ctx, a, consent.NoID, consent.NewPurpose{Name: "again",
				Taxonomy: consent.Taxonomy{Category: "c", Subcategory: "s", Label: "l"}}, o)
			return err
		},
		"subject": func(o consent.Idempotency) error {
			_, err := h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "user", Name: "again", Idempotency: o})
			return err
		},
		"person": func(o consent.Idempotency) error {
			_, err := h.svc.SavePerson(ctx, a, consent.SavePerson{Handles: named(consent.Email, "again@example.com"),
				Idempotency: o})
			return err
		},
		"nothing": func(o consent.Idempotency) error {
			return h.svc.RunOnce(ctx, a, o, func() (any, error) { return "ran", nil })
		},
	}
	for name, call := range calls {
		var want []byte
		o := withKey("key of "+name, name)
		render := o.Render
		o.Render = func(result any) ([]byte, error) {
			answer, err := render(result)
			want = answer
			return answer, err
		}
		if err := call(o); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		before := h.census(t, a)
		if got := replayed(t, name, call(withKey("key of "+name, name))); !bytes.Equal(got, want) {
			t.Errorf("%s: the retry is answered %s", name, got)
		}
		if after := h.census(t, a); after != before {
			t.Errorf("%s happened twice: before %s, after %s", name, before, after)
		}
	}
}

// TestRefusedWriteKeepsNothing: after a refusal the same key is free for a mended request.
func TestRefusedWriteKeepsNothing(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a, _ := h.key(t, h.organization(t))
	known := item(user("ada"))
	known.Known = true
	before := h.census(t, a)
	_, err := h.svc.Record(ctx, a, protected("k", "one", known))
	isKind(t, "an unknown person", err, consent.NotFound, "")
	_, err = h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "user", Name: "ada", MustExist: true,
		Idempotency: withKey("s", "one")})
	isKind(t, "an unknown subject", err, consent.NotFound, "")
	failing := withKey("f", "one")
	failing.Render = func(any) ([]byte, error) { return nil, errors.New("cannot render") }
	w := write(item(user("ada")))
	w.Idempotency = failing
	if _, err := h.svc.Record(ctx, a, w); !consent.IsKind(err, consent.Internal) {
		t.Errorf("an answer that cannot be rendered: %v", err)
	}
	if after := h.census(t, a); after != before {
		t.Errorf("refused writes left something: before %s, after %s", before, after)
	}
	if _, err := h.svc.Record(ctx, a, protected("k", "two", item(user("ada")))); err != nil {
		t.Errorf("the mended request: %v", err)
	}
}

// TestOneSpoiltAnswerSpoilsNoOther: writes that share a batch with one that cannot be rendered are done.
func TestOneSpoiltAnswerSpoilsNoOther(t *testing.T) {
	h := newHarness(t)
	a, _ := h.key(t, h.organization(t))
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			w := protected(fmt.Sprint("k", i), "body", item(user(fmt.Sprint("u", i))))
			spoilt := i%4 == 0
			if spoilt {
				w.Idempotency.Render = func(any) ([]byte, error) { panic("cannot render") }
			}
			if _, err := h.svc.Record(context.Background(), a, w); (err != nil) != spoilt {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := len(h.events(t, a)); n != 30 {
		t.Errorf("%d events of 30", n)
	}
}

// TestSameKeyAtOnce sends one write many times at once, of decisions and of records.
func TestSameKeyAtOnce(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a, _ := h.key(t, h.organization(t))
	for round := range 5 {
		for name, send := range map[string]func() error{
			"decision": func() error {
				_, err := h.svc.Record(ctx, a, protected(fmt.Sprint("k", round), "body", item(user("ada"))))
				return err
			},
			"record": func() error {
				_, err := h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "user", Name: "bob",
					Idempotency: withKey(fmt.Sprint("s", round), "body")})
				return err
			},
		} {
			release := h.holdWriter(t) // so that they meet in one batch
			time.AfterFunc(30*time.Millisecond, release)
			var wg sync.WaitGroup
			wg.Go(func() { // what the writer waits with meanwhile
				if _, err := h.svc.Record(ctx, a, write(item(user("first")))); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(10 * time.Millisecond)
			var done atomic.Int64
			var answers sync.Map
			for range 24 {
				wg.Go(func() {
					err := send()
					if err == nil {
						done.Add(1)
						return
					}
					answers.Store(string(replayed(t, name, err)), true)
				})
			}
			wg.Wait()
			different := 0
			answers.Range(func(any, any) bool { different++; return true })
			if done.Load() != 1 || different != 1 {
				t.Errorf("round %d: %s done %d times, %d different answers", round, name, done.Load(), different)
			}
		}
	}
	if n := len(h.events(t, a, user("ada")[0])); n != 5 {
		t.Errorf("%d events of 5", n)
	}
	if v := subject(t, h, a, "user", "bob", 0).Record.Version; v != 5 {
		t.Errorf("version %d of 5", v)
	}
}

// holdWriter keeps everybody from writing until it is released.
func (h *harness) holdWriter(t tester) (release func()) {
	held, over := make(chan struct{}), make(chan struct{})
	go func() {
		err := h.store.Update(context.Background(), consent.NoID, func(service.Tx) error { close(held); <-over; return nil })
		if err != nil {
			t.Errorf("%v", err)
		}
	}()
	<-held
	return func() { close(over) }
}

// TestIdempotencyRecordsAreSealed: whoever has the database alone cannot read them.
func TestIdempotencyRecordsAreSealed(t *testing.T) {
	h := newHarness(t)
	a, _ := h.key(t, h.organization(t))
	if _, err := h.svc.Record(context.Background(), a, protected("k", "body", item(user("somebody.else")))); err != nil {
		t.Fatal(err)
	}
	// Nor hashes by which guesses can be tried.
	key, request := sha256.Sum256([]byte("k")), protected("k", "body").Idempotency.Fingerprint
	found := map[string]bool{}
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal"} {
		content, err := os.ReadFile(filepath.Join(h.folder, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{secretMail, "answer for", "somebody.else", string(key[:]), string(request[:])} {
			found[text] = found[text] || bytes.Contains(content, []byte(text))
		}
	}
	for text, stands := range found {
		if stands {
			t.Errorf("%q stands in the files", text)
		}
	}
	if h.rows(t, "kept_answers", a.Organization) != 1 {
		t.Error("no answer is kept")
	}
}

// TestPersonKeepsAnswersApart: tokens of two persons signed by one key do not see each other's answers, and one
// person's later token sees its own.
func TestPersonKeepsAnswersApart(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a, made := h.key(t, h.organization(t))
	actorOf := func(person string) consent.Actor {
		actor, err := h.svc.AuthenticatePerson(ctx, a.Organization, made.ID, person, []byte("signing secret"))
		if err != nil {
			t.Fatal(err)
		}
		return actor
	}
	for _, person := range []string{"ada", "bob"} {
		if _, err := h.svc.Record(ctx, actorOf(person), protected("k", "body", item(user(person)))); err != nil {
			t.Errorf("%s: %v", person, err)
		}
		_, err := h.svc.Record(ctx, actorOf(person), protected("k", "body", item(user(person))))
		replayed(t, person, err)
	}
	_, err := h.svc.Record(ctx, actorOf("ada"), write(item(user("bob"))))
	isKind(t, "another person", err, consent.Forbidden, "")
	if _, err := h.svc.Person(ctx, actorOf("ada"), consent.PersonQuery{Identifier: user("bob")[0]}); !consent.IsKind(err,
		consent.Forbidden) {
		t.Errorf("another person's consents: %v", err)
	}
	if _, err := h.svc.Person(ctx, actorOf("\ufeffada "),
		consent.PersonQuery{Identifier: user("ada\u200b")[0]}); err != nil {
		t.Errorf("the same person in other spellings: %v", err)
	}
	_, err = h.svc.Record(ctx, actorOf("ada\u00a0"), protected("k", "body", item(user("ada"))))
	replayed(t, "the same person in another spelling", err)
	_, err = h.svc.AuthenticatePerson(ctx, a.Organization, made.ID, "a\u200bda", []byte("signing secret"))
	isKind(t, "a token for what is nobody's name", err, consent.Unauthenticated, "")
	if err := h.svc.RevokeKey(ctx, h.mustIn(t, a.Organization), made.ID, consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	_, err = h.svc.AuthenticatePerson(ctx, a.Organization, made.ID, "ada", []byte("signing secret"))
	isKind(t, "a token of a revoked key", err, consent.Unauthenticated, "")
}

func (h *harness) mustIn(t tester, organization consent.ID) consent.Actor {
	a, err := h.root.In(organization)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return a
}

// TestExpiredAnswersAreForgotten: those past their time go, the others stay.
func TestExpiredAnswersAreForgotten(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a, b := h.organization(t), h.organization(t)
	for i := range 1500 { // more than one transaction forgets
		key := fmt.Sprint("old", i)
		if err := h.svc.RunOnce(ctx, a, withKey(key, key), func() (any, error) { return 1, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.svc.RunOnce(ctx, b, withKey("old", "old"), func() (any, error) { return 1, nil }); err != nil {
		t.Fatal(err)
	}
	h.clock.add(23 * time.Hour)
	for _, actor := range []consent.Actor{a, b} {
		if err := h.svc.RunOnce(ctx, actor, withKey("young", "young"), func() (any, error) { return 1, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.svc.DropExpiredRecords(ctx); err != nil {
		t.Fatal(err)
	}
	if n := h.rows(t, "kept_answers", a.Organization); n != 1501 {
		t.Errorf("after 23 hours %d answers are left of 1501", n)
	}
	h.clock.add(2 * time.Hour)
	if err := h.svc.DropExpiredRecords(ctx); err != nil {
		t.Fatal(err)
	}
	for _, actor := range []consent.Actor{a, b} {
		if n := h.rows(t, "kept_answers", actor.Organization); n != 1 {
			t.Errorf("after 25 hours %d answers are left of 1", n)
		}
		err := h.svc.RunOnce(ctx, actor, withKey("young", "young"), func() (any, error) { return nil, errors.New("ran again") })
		if got := replayed(t, "the young one", err); !strings.Contains(string(got), "young") {
			t.Errorf("answered %s", got)
		}
	}
}
