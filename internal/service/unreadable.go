package service

import (
	"context"
	"sync"

	"github.com/consentd/consentd/internal/consent"
)

// unreadable notes rows that a list shows without what cannot be decrypted. Without one in the context of a read, such
// a row is an error. It is for use at once from many goroutines.
type unreadable struct {
	mu    sync.Mutex
	rows  map[consent.ID]bool
	first string
}

// mostUnreadable bounds how many rows are told apart.
const mostUnreadable = 10_000

func (u *unreadable) add(id consent.ID, why error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.rows) == 0 {
		u.first = why.Error()
	}
	if len(u.rows) < mostUnreadable { // a view may run again, so each counts once
		u.rows[id] = true
	}
}

type unreadableKey struct{}

// tolerates reports what a read may leave out; nil: nothing.
func tolerates(ctx context.Context) *unreadable {
	u, _ := ctx.Value(unreadableKey{}).(*unreadable)
	return u
}

// listing gives the context of a list, which shows a row that cannot be decrypted without what it said. end logs once
// how many there were, and counts them.
func (s *Service) listing(ctx context.Context, organization consent.ID) (within context.Context, end func()) {
	u := &unreadable{rows: map[consent.ID]bool{}}
	return context.WithValue(ctx, unreadableKey{}, u), func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.rows) == 0 {
			return
		}
		s.log.Error("a list has rows that cannot be read; consentd doctor --full names all of them",
			"organization", organization.String(), "rows", len(u.rows), "first", u.first)
		if s.unreadable != nil {
			s.unreadable(len(u.rows))
		}
	}
}
