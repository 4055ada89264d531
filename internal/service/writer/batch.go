package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// batch is one run of a transaction: what it loaded, what it decided, and what became of each request. Decisions are
// taken in memory, request by request in order, each seeing what those before it decided; a request that is refused
// drops out before it has changed anything.
type batch struct {
	o        *Options
	requests []*request
	outcomes []outcome
	now      time.Time
	changes  consent.Changes

	catalogs map[consent.ID]*consent.Catalog // of organizations that get a new purpose
	people   *consent.People
	created  map[consent.SubjectKey]bool // people whom this batch makes
	records  map[consent.IdempotencyKey]*consent.IdempotencyRecord
	heads    map[consent.ID]*consent.Head
	trees    map[consent.ID]*ledger.Tree
	wrapped  map[consent.SubjectKey][]byte          // secrets as they are on record
	secrets  map[consent.SubjectKey]*ledger.Secret  // of those about whom decisions are
	read     map[consent.ConsentKey]consent.Consent // with who is who; zero: there is none
	consents map[consent.ConsentKey]*consent.WorkingConsent
	// suppressed are those of the identifiers by which people decide themselves.
	suppressed map[consent.OwnedName]consent.Suppression
	imports    importing
	// given are the items of each request that the batch decides on, refusedLines the lines of an import that it does not.
	given        [][]consent.PreparedItem
	refusedLines [][]consent.LineError
	items        [][]batchItem // by request and item
	purposes     [][]int       // that each request makes, in the batch's changes
	changed      []*consent.WorkingConsent
	grown        map[consent.ID]bool // organizations whose ledgers have more entries now
}

// batchItem is an item whose person is known, with the decisions that the batch may take.
type batchItem struct {
	*consent.PreparedItem
	person    consent.Identified
	merges    []int // of person, in the batch's changes
	decisions []pending
}

// pending is a decision that the batch may take, with the consent that it moves.
type pending struct {
	*consent.PreparedDecision
	purpose *consent.Purpose
	consent *consent.WorkingConsent
}

func newBatch(o *Options, requests []*request) *batch {
	decisions := 0
	for _, r := range requests {
		decisions += r.Decisions
	}
	return &batch{o: o, requests: requests, outcomes: make([]outcome, len(requests)), now: o.Now(),
		changes: consent.Changes{Events: make([]consent.Event, 0, decisions),
			Consents: make([]consent.Consent, 0, decisions)},
		catalogs: map[consent.ID]*consent.Catalog{}, people: consent.NewPeople(), created: map[consent.SubjectKey]bool{},
		records: map[consent.IdempotencyKey]*consent.IdempotencyRecord{}, heads: map[consent.ID]*consent.Head{},
		trees: map[consent.ID]*ledger.Tree{}, wrapped: map[consent.SubjectKey][]byte{},
		secrets:    map[consent.SubjectKey]*ledger.Secret{},
		read:       map[consent.ConsentKey]consent.Consent{},
		consents:   map[consent.ConsentKey]*consent.WorkingConsent{},
		suppressed: map[consent.OwnedName]consent.Suppression{},
		given:      make([][]consent.PreparedItem, len(requests)), refusedLines: make([][]consent.LineError, len(requests)),
		items: make([][]batchItem, len(requests)), purposes: make([][]int, len(requests)),
		grown: map[consent.ID]bool{}}
}

// ErrNothing ends a transaction that has nothing to write.
var ErrNothing = errors.New("nothing to write")

// transact runs a batch's transaction.
func (w *Writer) transact(requests []*request) ([]outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	var b *batch
	err := w.o.Commit(ctx, requests[0].Actor.Organization, func(tx Tx) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic in a batch: %v", r)
			}
		}()
		b = newBatch(&w.o, requests)
		if err := b.load(ctx, tx); err != nil {
			return err
		}
		if err := b.decide(); err != nil {
			return err
		}
		if b.changes.Empty() && !b.confirms() {
			return ErrNothing
		}
		return tx.Append(ctx, &b.changes)
	})
	if b != nil && len(b.changes.Purposes) > 0 {
		w.o.CatalogChanged()
	}
	if b != nil && w.o.Committed != nil && (err == nil || errors.Is(err, consent.ErrUnknown)) {
		w.o.Committed(b.moved())
	}
	if err != nil && !errors.Is(err, ErrNothing) {
		return nil, err
	}
	return b.outcomes, nil
}

// moved lists the organizations whose ledgers the batch added to.
func (b *batch) moved() []consent.ID {
	organizations := make([]consent.ID, len(b.changes.Heads))
	for i := range b.changes.Heads {
		organizations[i] = b.changes.Heads[i].Organization
	}
	return organizations
}

// confirms tells whether somebody is told that something is on record. It is committed also where it is so already:
// what was read may not be as durable as a commit makes it.
func (b *batch) confirms() bool {
	var replayed *consent.Replayed
	return slices.ContainsFunc(b.outcomes, func(o outcome) bool { return o.err == nil || errors.As(o.err, &replayed) })
}

// newID makes the id of anything but an event.
func (b *batch) newID() consent.ID { return consent.NewID(b.now, b.random()) }

func (b *batch) random() (random [10]byte) {
	b.o.Random(random[:])
	return random
}
