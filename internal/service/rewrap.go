package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
)

// Viewer reads one consistent state of a store.
type Viewer interface {
	View(ctx context.Context, read func(Reader) error) error
}

const (
	// organizationsInPage is how many organizations are listed at once.
	organizationsInPage = 500
	// secretsInPage is how many secrets are read in one state, and rewrapped in one transaction.
	secretsInPage = 500
)

// KeyUse is how many secrets, of people and of organizations, each key wraps, as far as a pass over all has come.
type KeyUse struct {
	Organizations, Of int64                   // looked at, and how many there are
	Wrapped           map[sealing.KEKID]int64 // by each key; after a rewrap, those that it rewrapped by the new one
	Damaged           int64                   // of which nobody can tell by which key
	Rewrapped         int64                   // by this pass
	Unopened          int64                   // that it could not rewrap; Damaged are among them
	FirstUnopened     error                   // whose the first of these is, and why
	FirstUnopenedOf   consent.SubjectKey
}

// Secrets is how many were looked at.
func (u *KeyUse) Secrets() (n int64) {
	for _, wrapped := range u.Wrapped {
		n += wrapped
	}
	return n + u.Damaged
}

// CountKeyUse looks at all secrets of a store, page by page, each in a state of its own: what is written behind the
// page that is being looked at is not counted. at is called at each page. Errors: those of the store. Safe at once.
func CountKeyUse(ctx context.Context, store Viewer, at func(KeyUse)) (KeyUse, error) {
	use := KeyUse{Wrapped: map[sealing.KEKID]int64{}}
	err := use.pass(ctx, store, at, func(context.Context, []consent.SubjectSecret) error { return nil })
	return use, err
}

// pass looks at the secrets of all organizations, and has each page edited before it is counted.
func (u *KeyUse) pass(ctx context.Context, store Viewer, at func(KeyUse),
	edit func(context.Context, []consent.SubjectSecret) error) error {
	for {
		var list []consent.OrganizationView
		err := store.View(ctx, func(r Reader) (err error) {
			filter := consent.OrganizationFilter{Offset: int(u.Organizations), Limit: organizationsInPage}
			list, u.Of, err = r.Organizations(ctx, consent.NoID, filter)
			return err
		})
		if err != nil {
			return fmt.Errorf("list the organizations: %w", err)
		}
		for i := range list {
			if err := u.organization(ctx, store, list[i].ID, at, edit); err != nil {
				return fmt.Errorf("look at the secrets of organization %s: %w", list[i].ID, err)
			}
			u.Organizations++
		}
		if at(*u); len(list) < organizationsInPage {
			return nil
		}
	}
}

func (u *KeyUse) organization(ctx context.Context, store Viewer, organization consent.ID, at func(KeyUse),
	edit func(context.Context, []consent.SubjectSecret) error) error {
	for from, more := consent.NoID, true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var page []consent.SubjectSecret
		err := store.View(ctx, func(r Reader) (err error) { // it may run again
			page, err = r.SubjectSecretsFrom(ctx, organization, from, secretsInPage)
			return err
		})
		if err == nil {
			err = edit(ctx, page)
		}
		if err != nil {
			return err
		}
		for i := range page {
			if by, err := sealing.KEKOf(page[i].Wrapped); err == nil {
				u.Wrapped[by]++
			} else {
				u.Damaged++
			}
		}
		at(*u)
		if more = len(page) == secretsInPage; more {
			from, more = following(page[len(page)-1].Subject)
		}
	}
	return nil
}

// following gives the id behind one in order; false: there is none.
func following(id consent.ID) (consent.ID, bool) {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			return id, true
		}
	}
	return id, false
}

// Rewrapper wraps secrets with the newest key of a key file, beside running servers.
type Rewrapper struct {
	store   Store
	secrets *secrets
}

// NewRewrapper makes one from the keys of a file, which it follows by reload.
func NewRewrapper(store Store, keys *sealing.Ring, reload ReloadKeys, log *slog.Logger) *Rewrapper {
	return &Rewrapper{store, newSecrets(keys, rand.Reader, reload, log)}
}

// Newest names the key that it wraps with.
func (r *Rewrapper) Newest() sealing.KEKID { return r.secrets.ring.Load().Newest() }

// Pass looks at all secrets, page by page, and rewraps those that another key wraps: each page in a short transaction,
// which never changes what somebody else has changed since it was read. It may be stopped at any moment; the next pass
// goes on. What cannot be opened stays as it is and is counted. at is called at each page. Errors: those of the store.
// Several may run at once, also in other processes.
func (r *Rewrapper) Pass(ctx context.Context, at func(KeyUse)) (KeyUse, error) {
	use := KeyUse{Wrapped: map[sealing.KEKID]int64{}}
	err := use.pass(ctx, r.store, at, func(ctx context.Context, page []consent.SubjectSecret) error {
		return r.page(ctx, page, &use)
	})
	return use, err
}

// page rewraps what is to be of a page, and puts it into the page.
func (r *Rewrapper) page(ctx context.Context, page []consent.SubjectSecret, use *KeyUse) error {
	began := time.Now()
	var changes consent.Changes
	for i := range page {
		wrapped, changed, err := r.secrets.rewrap(page[i].SubjectKey, page[i].Wrapped)
		if consent.IsKind(err, consent.Unavailable) {
			return err
		}
		if err != nil {
			if use.Unopened++; use.FirstUnopened == nil {
				use.FirstUnopened, use.FirstUnopenedOf = err, page[i].SubjectKey
			}
			continue
		}
		if changed {
			changes.Rewrapped = append(changes.Rewrapped, consent.RewrappedSecret{Before: page[i].Wrapped,
				SubjectSecret: consent.SubjectSecret{SubjectKey: page[i].SubjectKey, Wrapped: wrapped}})
			page[i].Wrapped = wrapped
		}
	}
	if len(changes.Rewrapped) == 0 {
		return nil
	}
	err := r.update(ctx, page[0].Organization, &changes)
	if err != nil {
		return err
	}
	use.Rewrapped += int64(len(changes.Rewrapped))
	select { // half of the time belongs to the servers, who wait for the same lock
	case <-time.After(time.Since(began)):
	case <-ctx.Done():
	}
	return nil
}

// patience is how long a page is tried that servers or a database that was away keep from being written.
const patience = time.Minute

// update writes a page. Where it is not known whether it was written, it is written again: that changes nothing then.
func (r *Rewrapper) update(ctx context.Context, organization consent.ID, changes *consent.Changes) error {
	for began := time.Now(); ; {
		err := r.store.Update(ctx, organization, func(tx Tx) error { return tx.Append(ctx, changes) })
		again := consent.IsKind(err, consent.Unavailable) || errors.Is(err, consent.ErrUnknown)
		if !again || time.Since(began) > patience || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(lookEvery / 2):
		case <-ctx.Done():
		}
	}
}

// rewrap gives what a secret is when the newest key wraps it; unchanged where that one does already.
func (s *secrets) rewrap(of consent.SubjectKey, wrapped []byte) (rewrapped []byte, changed bool, err error) {
	s.refresh()
	by, err := sealing.KEKOf(wrapped)
	if err != nil {
		return nil, false, err
	}
	if by == s.ring.Load().Newest() {
		return wrapped, false, nil
	}
	key, err := s.unwrap(of, wrapped)
	if err != nil {
		return nil, false, err
	}
	defer key.Wipe()
	ring, err := s.current()
	if err != nil {
		return nil, false, err
	}
	if by == ring.Newest() { // it was added meanwhile
		return wrapped, false, nil
	}
	rewrapped, err = ring.Wrap(key, of.Organization, of.Subject)
	return rewrapped, err == nil, err
}

// refresh looks at the key file where that was a second ago. It is for who does not watch it.
func (s *secrets) refresh() {
	if s.reload == nil || !s.begin() {
		return
	}
	defer s.end()
	if now := time.Now(); now.Sub(s.tried) >= lookEvery {
		s.look(now, false)
	}
}
