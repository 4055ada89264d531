package server_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// fault is what a faultyStore does to those who use it.
type fault int32

const (
	none      fault = iota
	viewing         // View fails
	updating        // Update fails before anything was done
	losing          // Update does its work, fails, and leaves nothing behind
	uncertain       // Update does its work, and then it is not known whether it did
	all             // View and Update fail
	panicking       // whoever reads or writes panics within the transaction
	hanging         // nothing is answered until the context is over
	away            // the database is away
)

// cause is what went wrong; clients must not see a word of it.
const cause = "cause-crocodile at /secret/place"

var errCause = errors.New(cause)

// errAway is what a store says whose database is away.
var errAway = &consent.Error{Kind: consent.Unavailable, Msg: "the database is away; retry", Err: errCause}

// faultyStore is a real store that fails on demand. It is a fault in the disk's place, not a store.
type faultyStore struct {
	service.Store
	fault   atomic.Int32
	hits    atomic.Int64 // how often it failed somebody
	release chan struct{}
}

func (s *faultyStore) set(f fault) {
	s.fault.Store(int32(f))
	s.hits.Store(0)
}

func (s *faultyStore) is(faults ...fault) bool {
	for _, f := range faults {
		if fault(s.fault.Load()) == f {
			s.hits.Add(1)
			return true
		}
	}
	return false
}

func (s *faultyStore) hang(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.release:
		return errCause
	}
}

// View implements service.Store.
func (s *faultyStore) View(ctx context.Context, read func(service.Reader) error) error {
	switch {
	case s.is(viewing, all):
		return errCause
	case s.is(away):
		return errAway
	case s.is(hanging):
		return s.hang(ctx)
	case s.is(panicking):
		return s.Store.View(ctx, func(service.Reader) error { panic(cause) })
	}
	return s.Store.View(ctx, read)
}

// Person implements service.Store.
func (s *faultyStore) Person(ctx context.Context, name consent.OwnedName, project int, hash []byte) (consent.Who, error) {
	switch {
	case s.is(viewing, all):
		return consent.Who{}, errCause
	case s.is(away):
		return consent.Who{}, errAway
	case s.is(hanging):
		return consent.Who{}, s.hang(ctx)
	case s.is(panicking):
		panic(cause)
	}
	return s.Store.Person(ctx, name, project, hash)
}

// Ask implements service.Store.
func (s *faultyStore) ViewOnce(ctx context.Context, read func(service.Reader) error) error {
	return s.View(ctx, read)
}

// Update implements service.Store.
func (s *faultyStore) Update(ctx context.Context, organization consent.ID, write func(service.Tx) error) error {
	switch {
	case s.is(updating, all):
		return errCause
	case s.is(away):
		return errAway
	case s.is(hanging):
		return s.hang(ctx)
	case s.is(panicking):
		return s.Store.Update(ctx, organization, func(tx service.Tx) error { return write(panickingTx{tx}) })
	case s.is(losing):
		return s.Store.Update(ctx, organization, func(tx service.Tx) error {
			if err := write(tx); err != nil {
				return err
			}
			return errCause
		})
	}
	err := s.Store.Update(ctx, organization, write)
	if err == nil && s.is(uncertain) {
		err = fmt.Errorf("%w: %w", consent.ErrUnknown, errCause)
	}
	return err
}

// panickingTx panics where something is to be written.
type panickingTx struct{ service.Tx }

func (panickingTx) Append(context.Context, *consent.Changes) error { panic(cause) }
