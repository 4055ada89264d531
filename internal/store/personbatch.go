package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

const (
	// batchPersons is how many questions one query answers at most.
	batchPersons = 128
	// batchesAtOnce is how many queries for one organization's people are on their way at once, before questions wait for
	// each other: the next is made ready while the database answers.
	batchesAtOnce = 2
	// batchTimeout ends a query that nobody waits for any longer; whoever asks has a deadline of their own.
	batchTimeout = 30 * time.Second
)

// personBatcher is a store that answers questions about persons which come at the same time by one query. A question is
// answered by a query that begins after it was asked, so it has every write that was acknowledged before. A lone one
// goes at once. It may be used at once from many goroutines.
type personBatcher struct {
	service.Store
	mu    sync.Mutex
	lines map[personLine]*questions // those that are not empty
}

// personLine is what questions share that one query can answer.
type personLine struct {
	organization consent.ID
	project      int
}

// questions are those of one line.
type questions struct {
	running int // queries
	waiting []*question
}

// question is one that somebody waits for.
type question struct {
	ctx  context.Context
	name consent.OwnedName
	hash []byte
	done chan struct{} // closed when who and err are set
	who  consent.Who
	err  error
}

// BatchPersons gives a store that is s, but answers many Person at once by one query. It is for an engine to which each
// query is a round trip.
func BatchPersons(s service.Store) service.Store {
	return &personBatcher{Store: s, lines: map[personLine]*questions{}}
}

// Person implements service.Store.
func (b *personBatcher) Person(ctx context.Context, name consent.OwnedName, project int, hash []byte) (
	consent.Who, error) {
	line := personLine{name.Organization, project}
	q := &question{ctx: ctx, name: name, hash: hash}
	if b.begin(line, q) {
		defer b.next(line)
		return b.Store.Person(ctx, name, project, hash)
	}
	select {
	case <-q.done:
		return q.who, q.err
	case <-ctx.Done():
		return consent.Who{}, ctx.Err()
	}
}

// begin tells whether a question may go at once; else it waits in line.
func (b *personBatcher) begin(line personLine, q *question) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[line]
	if l == nil {
		l = &questions{}
		b.lines[line] = l
	}
	if l.running < batchesAtOnce {
		l.running++
		return true
	}
	q.done = make(chan struct{})
	l.waiting = append(l.waiting, q)
	return false
}

// next takes the place of a query that has ended, for those who wait.
func (b *personBatcher) next(line personLine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[line]
	if len(l.waiting) == 0 {
		if l.running--; l.running == 0 {
			delete(b.lines, line)
		}
		return
	}
	n := min(len(l.waiting), batchPersons)
	batch := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	go func() {
		defer b.next(line)
		b.answer(line, batch)
	}()
}

// answer answers questions by one query. Where that fails for another reason than that the database is away, each has
// a query of its own, so that nobody's question harms another's.
func (b *personBatcher) answer(line personLine, batch []*question) {
	asked := batch[:0]
	for _, q := range batch {
		if q.ctx.Err() == nil { // nobody else waits for it
			asked = append(asked, q)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	people, err := b.persons(ctx, line, asked)
	for i, q := range asked {
		switch {
		case err == nil:
			q.who = people[i]
		case len(asked) == 1 || consent.IsKind(err, consent.Unavailable) || ctx.Err() != nil:
			q.err = err
		default:
			q.who, q.err = b.alone(line, q)
		}
		close(q.done)
	}
}

// alone asks the store about one question.
func (b *personBatcher) alone(line personLine, q *question) (who consent.Who, err error) {
	defer recovered(&err)
	return b.Store.Person(q.ctx, q.name, line.project, q.hash)
}

// recovered makes an error of a panic: nobody stands above a batch who would answer its questions.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic while asking about persons: %v", r)
	}
}

// persons asks the store about all of some questions.
func (b *personBatcher) persons(ctx context.Context, line personLine,
	asked []*question) (found []consent.Who, err error) {
	defer recovered(&err)
	switch len(asked) {
	case 0:
		return nil, nil
	case 1: // it may cost less
		who, err := b.alone(line, asked[0])
		return []consent.Who{who}, err
	}
	names, hashes := make([]consent.OwnedName, len(asked)), make([][]byte, len(asked))
	for i, q := range asked {
		names[i], hashes[i] = q.name, q.hash
	}
	err = b.ViewOnce(ctx, func(r service.Reader) error {
		found, err = r.Persons(ctx, names, line.project, hashes)
		return err
	})
	return found, err
}
