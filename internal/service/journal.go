package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// Journal keeps who was erased apart from the store: for use at once by many goroutines.
type Journal interface {
	// Add keeps erasures, and returns nil when that is durable. Of their Erasure, At and Suppress are kept.
	Add(erased []consent.ErasedSubject) error
	// Read hands over all that is kept, about in order of time, some perhaps more than once.
	Read(each func(consent.ErasedSubject) error) error
}

const (
	// journalMargin is by how much clocks of servers may differ, and lines of a journal be out of order.
	journalMargin = 24 * time.Hour
	// journalAtOnce is how many erasures are looked at or kept in one step.
	journalAtOnce = 1000
	// journalEvery is how often the journal takes in what other servers erased.
	journalEvery = time.Minute
	// journalOverlap is how much later than its instant an erasure may become visible to others.
	journalOverlap = erasureTimeout + journalEvery
)

// journaled is a journal and what of the store is known to be in it.
type journaled struct {
	to Journal // nil: none is kept

	mu   sync.Mutex
	last consent.ErasedSubject            // up to which the store's erasures were taken in
	have map[consent.SubjectKey]time.Time // those that are in the journal, and not long before last
	kept int                              // how many those were when older ones were dropped last
}

// errJournal is said to whoever asks for an erasure that cannot be kept.
const errJournal = "the journal of erasures cannot be written, so nobody is erased: what is wrong is in the log; retry"

// add keeps erasures that are about to be committed. Errors: Unavailable.
func (j *journaled) add(erased []consent.ErasedSubject) error {
	if j.to == nil {
		return nil
	}
	if err := j.to.Add(erased); err != nil {
		return &consent.Error{Kind: consent.Unavailable, Msg: errJournal, Err: err}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.note(erased)
	return nil
}

// note remembers what is in the journal. The caller holds mu.
func (j *journaled) note(erased []consent.ErasedSubject) {
	if j.have == nil {
		j.have = map[consent.SubjectKey]time.Time{}
	}
	for i := range erased {
		j.have[erased[i].SubjectKey] = erased[i].At
	}
}

// read remembers of what was read of the journal what is not long before last, its newest line so far.
func (j *journaled) read(some []consent.ErasedSubject, last time.Time) {
	before := len(j.have)
	j.note(some)
	if before > j.kept+journalAtOnce { // not at each part: it looks at all of them
		j.forget(last.Add(-journalMargin))
		j.kept = len(j.have)
	}
}

// forget drops those from before an instant. The caller holds mu.
func (j *journaled) forget(before time.Time) {
	maps.DeleteFunc(j.have, func(_ consent.SubjectKey, at time.Time) bool { return at.Before(before) })
}

// ForgetAgain erases who is in the journal and not erased in the store, as after a backup was put back, and adds to the
// journal whom other servers have erased. It has to be called before requests are answered, and once. Those who are not
// in the store are passed over. told, where set, is called as it goes on, with how many were erased anew and are to be.
// Errors: those of the store and of the journal; what was erased until then stays so, and the next call goes on.
func (s *Service) ForgetAgain(ctx context.Context, told func(done, of int)) (again int, err error) {
	if s.journal.to == nil {
		return 0, nil
	}
	lost, last, err := lostErasures(ctx, s.store, s.journal.to, s.journal.read)
	if err != nil {
		return 0, err
	}
	for i := range lost {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		e := &lost[i]
		reason := "erased again, since the store was put back to a state from before " + e.At.UTC().Format(time.RFC3339)
		_, err := s.erase(ctx, consent.Actor{Organization: e.Organization, Root: true},
			consent.EraseSubject{Subject: e.Subject, Reason: reason, Suppress: e.Suppress}, e.At)
		if err != nil && !consent.IsKind(err, consent.NotFound) {
			return i, fmt.Errorf("erase subject %s of organization %s again: %w", e.Subject, e.Organization, err)
		}
		if told != nil {
			told(i+1, len(lost))
		}
	}
	s.journal.last = consent.ErasedSubject{}
	if !last.IsZero() {
		s.journal.last.At = last.Add(-journalMargin)
	}
	if err := s.keepErasures(ctx); err != nil {
		return len(lost), err
	}
	s.noting.Go(s.keepJournal)
	return len(lost), nil
}

// LostErasures counts who is in a journal and not erased in a store, as after a backup was put back. Errors: those of
// the store and of the journal.
func LostErasures(ctx context.Context, v Viewer, j Journal) (int, error) {
	lost, _, err := lostErasures(ctx, v, j, func([]consent.ErasedSubject, time.Time) {})
	return len(lost), err
}

// lostErasures gives who is in the journal and not erased in the store, in the order of the journal, and when the
// newest of its lines was. All lines are held against the store: what the store has erased of late says nothing of
// before, as where it was served for a while without the journal. noted is told what was looked at.
func lostErasures(ctx context.Context, v Viewer, j Journal, noted func(some []consent.ErasedSubject, last time.Time)) (
	lost []consent.ErasedSubject, last time.Time, err error) {
	some := make([]consent.ErasedSubject, 0, journalAtOnce)
	found := map[consent.SubjectKey]bool{}
	look := func() error {
		left, err := unerased(ctx, v, some)
		for _, e := range left {
			if !found[e.SubjectKey] {
				found[e.SubjectKey] = true
				lost = append(lost, e)
			}
		}
		noted(some, last)
		some = some[:0]
		return err
	}
	err = j.Read(func(e consent.ErasedSubject) error {
		if e.At.After(last) {
			last = e.At
		}
		if some = append(some, e); len(some) < journalAtOnce {
			return nil
		}
		return look()
	})
	if err == nil {
		err = look()
	}
	return lost, last, err
}

// unerased gives those of some people who are not erased in the store, in the order given.
func unerased(ctx context.Context, v Viewer, some []consent.ErasedSubject) (left []consent.ErasedSubject, err error) {
	keys := map[consent.ID][]consent.SubjectKey{}
	for i := range some {
		keys[some[i].Organization] = append(keys[some[i].Organization], some[i].SubjectKey)
	}
	there := map[consent.SubjectKey]bool{}
	for _, of := range keys {
		err := v.View(ctx, func(r Reader) error {
			is, err := r.Unerased(ctx, of)
			for i := range is {
				there[of[i]] = is[i]
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, e := range some {
		if there[e.SubjectKey] {
			left = append(left, e)
		}
	}
	return left, nil
}

// keepJournal takes in what other servers erase, until the service ends.
func (s *Service) keepJournal() {
	tick := time.NewTicker(journalEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-s.ended:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), journalEvery)
		err := s.keepErasures(ctx)
		cancel()
		if err != nil && !failed {
			s.log.Error("what other servers erased is not in the journal of erasures yet; it is tried again", "error", err)
		}
		failed = err != nil
	}
}

// keepErasures adds to the journal what it lacks of the store's erasures since it was called last.
func (s *Service) keepErasures(ctx context.Context) error {
	j := &s.journal
	j.mu.Lock()
	from := j.last
	j.mu.Unlock()
	from.SubjectKey = consent.SubjectKey{}
	for {
		var page []consent.ErasedSubject
		err := s.viewOnce(ctx, func(r Reader) (err error) {
			page, err = r.ErasedAfter(ctx, from, journalAtOnce)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page { // by whichever server
			s.secrets.opened.drop(page[i].SubjectKey)
		}
		if err := j.takeIn(page); err != nil {
			return err
		}
		from = page[len(page)-1]
	}
}

// takeIn adds to the journal those of a page of the store's erasures that it lacks.
func (j *journaled) takeIn(page []consent.ErasedSubject) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	lacks := slices.DeleteFunc(slices.Clone(page), func(e consent.ErasedSubject) bool {
		_, has := j.have[e.SubjectKey]
		return has
	})
	if len(lacks) > 0 {
		if err := j.to.Add(lacks); err != nil {
			return err
		}
		j.note(lacks)
	}
	if last := page[len(page)-1].At.Add(-journalOverlap); last.After(j.last.At) {
		j.last.At = last
		j.forget(last)
	}
	return nil
}
