package service

import (
	"context"
	"crypto/rand"
	"log/slog"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
)

// Opener decrypts what a store has of people, for tools that look at one beside servers. It is for use at once from
// many goroutines.
type Opener struct{ keys *vault }

// NewOpener gives one by the keys of a key file; reload, where set, is asked at a key that they lack.
func NewOpener(keys *sealing.Ring, reload ReloadKeys) *Opener {
	return &Opener{newVault(newSecrets(keys, rand.Reader, reload, slog.New(slog.DiscardHandler)))}
}

// Events decrypts the idents of events of an organization, in the state that they were read in. One that cannot be
// decrypted is left empty. Errors: those of the store, and of a key that the key file lacks.
func (o *Opener) Events(ctx context.Context, r Reader, organization consent.ID, events []consent.Event) error {
	return o.reader(r).events(ctx, organization, events, true)
}

func (o *Opener) reader(r Reader) *openedReader { return &openedReader{Reader: r, keys: o.keys} }
