package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// testTenants puts the same ids and values into two organizations and looks for one's in the other.
func testTenants(f *fixture) {
	a, b := f.organization(), f.organization()
	name, subject, eventID := named(consent.UserID, "ada"), f.id(), f.id()
	fill := func(o consent.ID, state consent.State) consent.Changes {
		s := f.newSubject(o)
		s.ID, s.Record.Data = subject, fmt.Appendf(nil, `{"of":"%s"}`, state)
		e := f.event(o, subject, 1, 1, func(e *consent.Event) { e.ID, e.State, e.Domain = eventID, state, state.String() })
		return consent.Changes{Subjects: []consent.Subject{s}, Identifiers: []consent.OwnedIdentifier{owned(o, name,
			subject)}, Events: []consent.Event{e},
			Consents: []consent.Consent{consentOf(e)}, Archive: []consent.ArchivedRecord{{Organization: o, Subject: subject,
				Record: s.Record}}}
	}
	f.append(fill(a, consent.Accepted))
	f.view(func(ctx context.Context, r service.Reader) error {
		owners, err := r.Owners(ctx, []consent.OwnedName{{Organization: b, Identifier: name},
			{Organization: b, Identifier: ownID(subject)}})
		if owners[0] != consent.NoID || owners[1] != consent.NoID || err != nil {
			f.Errorf("another's person: %v, %v", owners, err)
		}
		key := consent.ConsentKey{Organization: b, Subject: subject, Project: 1, Purpose: 1}
		consents, err2 := r.Consents(ctx, []consent.ConsentKey{key})
		of, err3 := r.ConsentsOf(ctx, []consent.SubjectKey{{Organization: b, Subject: subject}})
		history, err4 := r.History(ctx, []consent.ConsentKey{key})
		has, err5 := r.HasEvents(ctx, b, subject)
		events, total, err6 := r.Events(ctx, consent.EventQuery{Organization: b, Subjects: []consent.ID{subject}, Limit: 10})
		list, _, err7 := r.NamedSubjects(ctx, b, consent.SubjectFilter{Name: "ada", Limit: 10})
		if consents[0] != (consent.Consent{}) || len(of)+len(history)+len(events)+len(list) > 0 || has || total > 0 {
			f.Errorf("another's: %v, %v, %v, %t, %v (%d), %v", consents, of, history, has, events, total, list)
		}
		return errors.Join(err, err2, err3, err4, err5, err6, err7)
	})
	for _, id := range []consent.Identifier{name, ownID(subject)} {
		if found, consents := f.person(b, id, 1); found != consent.NoID || len(consents) > 0 {
			f.Errorf("another's person: %s, %v", found, consents)
		}
	}
	if f.read(b, subject) != nil || f.archived(b, subject, 1) != nil {
		f.Error("another's subject is here")
	}
	f.append(fill(b, consent.Declined))
	for o, state := range map[consent.ID]consent.State{a: consent.Accepted, b: consent.Declined} {
		if _, consents := f.person(o, name, 1); len(consents) != 1 || consents[0].State != state {
			f.Errorf("%s stands %v", state, consents)
		}
		f.view(func(ctx context.Context, r service.Reader) error {
			events, _, err2 := r.Events(ctx, consent.EventQuery{Organization: o, Subjects: []consent.ID{subject}, Limit: 10})
			if len(events) != 1 || events[0].State != state {
				f.Errorf("%s is recorded as %v", state, events)
			}
			return err2
		})
	}
	f.append(consent.Changes{RemovedIdentifiers: []consent.OwnedName{{Organization: a, Identifier: name}},
		RemovedSubjects: []consent.SubjectKey{{Organization: a, Subject: subject}}})
	if f.read(a, subject) != nil || f.read(b, subject) == nil || f.owners(b, name)[0] != subject {
		f.Error("a removal reached another organization")
	}
}

// testBigBatch writes and reads as much at once as a full batch does.
func testBigBatch(f *fixture) {
	const n = 5000
	o := f.organization()
	var c consent.Changes
	var names []consent.OwnedName
	var keys []consent.ConsentKey
	var subjects []consent.SubjectKey
	for i := range n {
		s := f.newSubject(o)
		id := owned(o, named(consent.UserID, fmt.Sprint("u", i)), s.ID)
		e := f.event(o, s.ID, 1, 1, func(e *consent.Event) { e.Sequence = int64(i + 1) })
		c.Subjects, c.Identifiers, c.Events, c.Consents = append(c.Subjects, s), append(c.Identifiers, id),
			append(c.Events, e), append(c.Consents, consentOf(e))
		names, subjects = append(names, id.OwnedName), append(subjects, consent.SubjectKey{Organization: o, Subject: s.ID})
		keys = append(keys, consent.ConsentKey{Organization: o, Subject: s.ID, Project: 1, Purpose: 1})
	}
	f.append(c)
	f.view(func(ctx context.Context, r service.Reader) error {
		owners, err := r.Owners(ctx, names)
		identifiers, err2 := r.Names(ctx, subjects)
		consents, err3 := r.Consents(ctx, keys)
		histories, err4 := r.History(ctx, keys)
		events, total, err5 := r.Events(ctx, consent.EventQuery{Organization: o, From: noon, Ascending: true, Limit: n})
		if err := errors.Join(err, err2, err3, err4, err5); err != nil {
			return err
		}
		if len(identifiers) != n || len(consents) != n || len(histories) != n || len(events) != n || total != n {
			f.Fatalf("of %d: %d identifiers, %d consents, %d histories, %d events, total %d", n, len(identifiers), len(consents),
				len(histories), len(events), total)
		}
		for i := range owners {
			if owners[i] != subjects[i].Subject || consents[i].Event != c.Events[i].ID || len(histories[keys[i]]) != 1 ||
				events[i].ID != c.Events[i].ID {
				f.Fatalf("row %d is not what was written", i)
			}
		}
		return nil
	})
}

// testAtomicity ends transactions in the middle, by an error and by a panic: nothing is left, and the store goes on.
func testAtomicity(f *fixture) {
	o := f.organization()
	boom := errors.New("boom")
	ctx := context.Background()
	start := func(tx service.Tx, value string) consent.ID {
		s := f.newSubject(o)
		e := f.event(o, s.ID, 1, 1, nil)
		err := tx.Append(ctx, &consent.Changes{Subjects: []consent.Subject{s},
			Identifiers: []consent.OwnedIdentifier{owned(o, named(consent.UserID, value), s.ID)},
			Events:      []consent.Event{e}, Consents: []consent.Consent{consentOf(e)},
			Heads:  []consent.Head{{Organization: o, Sequence: 99}},
			Counts: []consent.Count{{Organization: o, Name: consent.EventCount(1), Add: 1}},
			Texts:  []consent.Text{{Organization: o, Hash: []byte{1}, Text: "x"}}})
		if err != nil {
			f.Errorf("append: %v", err)
		}
		return s.ID
	}
	nothing := func(what, value string) {
		f.Helper()
		f.view(func(ctx context.Context, r service.Reader) error {
			owners, err := r.Owners(ctx, []consent.OwnedName{{Organization: o, Identifier: named(consent.UserID, value)}})
			heads, err2 := r.Heads(ctx, []consent.ID{o})
			events, total, err3 := r.Events(ctx, consent.EventQuery{Organization: o, Limit: 10})
			text, err4 := r.Text(ctx, o, []byte{1})
			if owners[0] != consent.NoID || heads[o].Sequence != 0 || len(events) != 0 || total != 0 || text != "" {
				f.Errorf("%s left something: %v, %v, %v, %d, %q", what, owners, heads, events, total, text)
			}
			return errors.Join(err, err2, err3, err4)
		})
	}
	err := f.store.Update(ctx, o, func(tx service.Tx) error { start(tx, "a"); return boom })
	if !errors.Is(err, boom) {
		f.Errorf("the error of a write comes back as %v", err)
	}
	nothing("an error", "a")
	panics(f, func() { _ = f.store.Update(ctx, o, func(tx service.Tx) error { start(tx, "b"); panic("boom") }) })
	nothing("a panic", "b")
	err = f.store.Update(ctx, o, func(tx service.Tx) error {
		id := start(tx, "c")
		clash := f.event(o, id, 1, 1, func(e *consent.Event) { e.ID = consent.ID{1} })
		return tx.Append(ctx, &consent.Changes{Events: []consent.Event{clash, clash}})
	})
	if err == nil || errors.Is(err, consent.ErrUnknown) || consent.IsKind(err, consent.Unavailable) {
		f.Errorf("an event twice: %v", err)
	}
	nothing("a statement that failed", "c")
	refused := &consent.Error{Kind: consent.Conflict, Msg: "no"}
	err = f.store.Update(ctx, o, func(tx service.Tx) error { start(tx, "c"); return refused })
	if !errors.Is(err, refused) || !consent.IsKind(err, consent.Conflict) {
		f.Errorf("the error of a write comes back as %v", err)
	}
	nothing("a refusal", "c")
	err = f.store.View(ctx, func(service.Reader) error { return refused })
	if !errors.Is(err, refused) {
		f.Errorf("the error of a read comes back as %v", err)
	}
	for range 10 { // more than there are readers
		panics(f, func() { _ = f.store.View(ctx, func(service.Reader) error { panic("boom") }) })
	}
	var made consent.ID
	if err := f.store.Update(ctx, o, func(tx service.Tx) error { made = start(tx, "d"); return nil }); err != nil {
		f.Fatalf("the next write: %v", err)
	}
	same(f, "the next write", f.owners(o, named(consent.UserID, "d")), []consent.ID{made})
}

func panics(f *fixture, run func()) {
	f.Helper()
	defer func() {
		if recover() == nil {
			f.Error("the panic of a caller was swallowed")
		}
	}()
	run()
}

// testOwnWrites: a transaction sees what it wrote, nobody else does before its end, everybody after it.
func testOwnWrites(f *fixture) {
	o, name := f.organization(), named(consent.UserID, "ada")
	s := f.newSubject(o)
	inside := func(ctx context.Context, r service.Reader) consent.ID {
		owners, err := r.Owners(ctx, []consent.OwnedName{{Organization: o, Identifier: name}})
		if err != nil {
			f.Error(err)
			return consent.NoID
		}
		return owners[0]
	}
	err := f.store.Update(context.Background(), o, func(tx service.Tx) error {
		ctx := context.Background()
		err := tx.Append(ctx, &consent.Changes{Subjects: []consent.Subject{s},
			Identifiers: []consent.OwnedIdentifier{owned(o, name, s.ID)}})
		if got := inside(ctx, tx); got != s.ID {
			f.Errorf("the transaction itself sees %s", got)
		}
		f.view(func(ctx context.Context, r service.Reader) error {
			if got := inside(ctx, r); got != consent.NoID {
				f.Errorf("another sees what was not committed: %s", got)
			}
			return nil
		})
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	for range 20 {
		same(f, "after the commit", f.owners(o, name), []consent.ID{s.ID})
	}
}

// testSnapshot: what a View reads stays as it is while others write, and the next View sees it all.
func testSnapshot(f *fixture) {
	o := f.organization()
	sequence := func(ctx context.Context, r service.Reader) int64 {
		heads, err := r.Heads(ctx, []consent.ID{o})
		if err != nil {
			f.Error(err)
		}
		return heads[o].Sequence
	}
	for round := int64(1); round <= 20; round++ {
		f.view(func(ctx context.Context, r service.Reader) error {
			before := sequence(ctx, r)
			f.append(consent.Changes{Heads: []consent.Head{{Organization: o, Sequence: round}}})
			_, total, err := r.Events(ctx, consent.EventQuery{Organization: o, From: noon, Limit: 1})
			if after := sequence(ctx, r); before != round-1 || after != before || total != 0 {
				f.Errorf("round %d: a read saw %d and then %d", round, before, after)
			}
			return err
		})
		f.view(func(ctx context.Context, r service.Reader) error {
			if got := sequence(ctx, r); got != round {
				f.Errorf("round %d: after the commit a read sees %d", round, got)
			}
			return nil
		})
	}
}

// testManyAtOnce reads from many goroutines while some write: counts go up, none is lost, and each reader sees at
// least what was acknowledged before it began, and head and events of one state.
func testManyAtOnce(f *fixture) {
	o := f.organization()
	const writers, readers, each = 4, 12, 40
	var acknowledged atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, writers+readers)
	for range writers {
		wg.Go(func() {
			for range each {
				err := f.store.Update(context.Background(), o, func(tx service.Tx) error {
					ctx := context.Background()
					heads, err := tx.Heads(ctx, []consent.ID{o})
					if err != nil {
						return err
					}
					head := heads[o]
					head.Sequence++
					e := consent.Event{Organization: o, ID: consent.ID{14: byte(head.Sequence >> 8), 15: byte(head.Sequence)},
						Sequence: head.Sequence, OccurredAt: noon, RecordedAt: noon, BodyJSON: []byte{}, IdentityJSON: []byte{}}
					return tx.Append(ctx, &consent.Changes{Events: []consent.Event{e}, Heads: []consent.Head{head}})
				})
				if err != nil {
					errs <- err
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	for range readers {
		wg.Go(func() {
			for acknowledged.Load() < writers*each && len(errs) == 0 {
				least := acknowledged.Load()
				err := f.store.View(context.Background(), func(r service.Reader) error {
					heads, err := r.Heads(context.Background(), []consent.ID{o})
					if err != nil {
						return err
					}
					_, total, err := r.Events(context.Background(), consent.EventQuery{Organization: o, From: noon, Limit: 1})
					if head := heads[o].Sequence; err == nil && (head < least || total != head) {
						return fmt.Errorf("after %d acknowledged writes the head is %d and there are %d events", least, head, total)
					}
					return err
				})
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		f.Error(err)
	}
	f.view(func(ctx context.Context, r service.Reader) error {
		heads, err := r.Heads(ctx, []consent.ID{o})
		if heads[o].Sequence != writers*each {
			f.Errorf("the head is %d of %d", heads[o].Sequence, writers*each)
		}
		return err
	})
}

func testCancellation(f *fixture) {
	o := f.organization()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.store.Update(over, o, func(service.Tx) error { return errors.New("ran") }); !errors.Is(err,
		context.Canceled) {
		f.Errorf("an update whose time was over before: %v", err)
	}
	name := named(consent.UserID, "ada")
	during, cancel := context.WithCancel(context.Background())
	err := f.store.Update(during, o, func(tx service.Tx) error {
		s := f.newSubject(o)
		err := tx.Append(during, &consent.Changes{Subjects: []consent.Subject{s},
			Identifiers: []consent.OwnedIdentifier{owned(o, name, s.ID)}})
		cancel()
		return errors.Join(err, during.Err())
	})
	if !errors.Is(err, context.Canceled) {
		f.Errorf("an update whose time ended within: %v", err)
	}
	same(f, "what it left", f.owners(o, name), []consent.ID{consent.NoID})
	f.longSearch(o)
	f.append(consent.Changes{Heads: []consent.Head{{Organization: o, Sequence: 5}}})
}

// longSearch ends a search in the middle; the connection that ran it works on.
func (f *fixture) longSearch(o consent.ID) {
	var events []consent.Event
	for range 20_000 {
		events = append(events, f.event(o, consent.ID{1}, 1, 1, nil))
	}
	f.append(consent.Changes{Events: events})
	ended := 0
	for range 12 {
		short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		err := f.store.View(short, func(r service.Reader) error {
			_, _, err := r.Events(short, consent.EventQuery{Organization: o, From: noon, ByOccurredAt: true,
				Domains: []string{"shop.example"}, Limit: 20_000})
			return err
		})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			ended++
		} else if err != nil {
			f.Errorf("a search whose time is over: %v", err)
		}
	}
	if ended == 0 {
		f.Error("no search was ended by its time")
	}
	f.view(func(ctx context.Context, r service.Reader) error {
		_, total, err := r.Events(ctx, consent.EventQuery{Organization: o, From: noon, Limit: 1})
		if total != int64(len(events)) {
			f.Errorf("then %d events of %d", total, len(events))
		}
		return err
	})
}

// testNothing asks an empty store for everything, and appends nothing.
func testNothing(f *fixture) {
	f.append(consent.Changes{})
	o := f.id()
	f.view(func(ctx context.Context, r service.Reader) error {
		d, err := r.Catalog(ctx, o)
		organizations, total, err2 := r.Organizations(ctx, consent.NoID, consent.OrganizationFilter{Limit: 10})
		keys, err3 := r.Keys(ctx, o, consent.NoID, 10)
		heads, err4 := r.Heads(ctx, []consent.ID{o})
		events, n, err5 := r.Events(ctx, consent.EventQuery{Organization: o, Limit: 10})
		subjects, m, err6 := r.NamedSubjects(ctx, o, consent.SubjectFilter{Limit: 10})
		expired, err7 := r.WithExpiredRecords(ctx, noon.AddDate(100, 0, 0))
		if d != nil || len(organizations)+len(keys)+len(heads)+len(events)+len(subjects)+len(expired) > 0 || total+n+m > 0 {
			f.Errorf("an empty store has %v %v %v %v %v %v %v", d, organizations, keys, heads, events, subjects, expired)
		}
		return errors.Join(err, err2, err3, err4, err5, err6, err7)
	})
	for _, ask := range []func(ctx context.Context, r service.Reader) (int, error){
		func(ctx context.Context, r service.Reader) (int, error) {
			v, err := r.Owners(ctx, nil)
			return len(v), err
		},
		func(ctx context.Context, r service.Reader) (int, error) {
			v, err := r.Names(ctx, nil)
			return len(v), err
		},
		func(ctx context.Context, r service.Reader) (int, error) {
			v, err := r.Consents(ctx, nil)
			return len(v), err
		},
		func(ctx context.Context, r service.Reader) (int, error) {
			v, err := r.ConsentsOf(ctx, nil)
			return len(v), err
		},
		func(ctx context.Context, r service.Reader) (int, error) {
			v, err := r.History(ctx, nil)
			return len(v), err
		},
		func(ctx context.Context, r service.Reader) (int, error) {
			v, err := r.Heads(ctx, nil)
			return len(v), err
		},
		func(ctx context.Context, r service.Reader) (int, error) {
			v, err := r.IdempotencyRecords(ctx, nil)
			return len(v), err
		},
	} {
		f.view(func(ctx context.Context, r service.Reader) error {
			n, err := ask(ctx, r)
			if n != 0 {
				f.Errorf("asked for nothing, got %d", n)
			}
			return err
		})
	}
	if err := f.store.Ready(); err != nil {
		f.Errorf("not ready: %v", err)
	}
	if !slices.Equal(f.owners(o), []consent.ID{}) {
		f.Error("owners of nothing")
	}
}

// testPrefetch prefetches before another read, and before none: what was asked for is there when wait returns.
func testPrefetch(f *fixture) {
	o := f.organization()
	f.append(consent.Changes{Heads: []consent.Head{{Organization: o, Sequence: 7, LastID: f.id()}}})
	name := named(consent.UserID, "ada")
	subject := f.subject(o, name)
	for _, between := range []bool{true, false} {
		err := f.store.Update(context.Background(), o, func(tx service.Tx) error {
			ctx := context.Background()
			var heads map[consent.ID]consent.Head
			var answers []*consent.IdempotencyRecord
			wait, err := tx.Prefetch(func() (err error) {
				if heads, err = tx.Heads(ctx, []consent.ID{o}); err != nil {
					return err
				}
				answers, err = tx.IdempotencyRecords(ctx, []consent.IdempotencyKey{{Organization: o}})
				return err
			})
			if err != nil {
				return err
			}
			if between {
				owners, err := tx.Owners(ctx, []consent.OwnedName{{Organization: o, Identifier: name}})
				if err != nil || owners[0] != subject {
					f.Errorf("a read behind a prefetch gives %v, %v", owners, err)
				}
			}
			err = wait()
			if heads[o].Sequence != 7 || len(answers) != 1 || answers[0] != nil {
				f.Errorf("prefetched: %v, %v", heads, answers)
			}
			return err
		})
		if err != nil {
			f.Error(err)
		}
	}
}
