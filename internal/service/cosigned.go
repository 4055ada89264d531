package service

import (
	"bytes"
	"context"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/ledger"
)

// cosigned adds to a signed note the cosignatures that were kept of it.
func cosigned(signed []byte, kept []consent.Cosignature) []byte {
	out := bytes.Clone(signed)
	for i := range kept {
		if bytes.Equal(kept[i].Note, signed) {
			out = append(out, kept[i].Line...)
		}
	}
	return out
}

// newestCosigned gives the newest checkpoint that any witness has cosigned; nil: there is none.
func newestCosigned(kept []consent.Cosignature) (newest *consent.Cosignature) {
	for i := range kept {
		if newest == nil || kept[i].Size > newest.Size {
			newest = &kept[i]
		}
	}
	return newest
}

// CosignedCheckpoint gives the newest checkpoint of the actor's organization's ledger that a witness has cosigned, with
// all cosignatures of it, and how many entries it covers. NotFound: there is none.
func (s *Service) CosignedCheckpoint(ctx context.Context, a consent.Actor) (note []byte, size int64, err error) {
	err = s.readLedger(ctx, a, func(r Reader) error {
		kept, err := r.Cosignatures(ctx, a.Organization)
		if err != nil {
			return err
		}
		newest := newestCosigned(kept)
		if newest == nil {
			return consent.Errorf(consent.NotFound, "", "no witness has cosigned a checkpoint yet")
		}
		note, size = cosigned(newest.Note, kept), newest.Size
		return nil
	})
	return note, size, err
}

// preferCosigned gives what a checkpoint that a witness has cosigned covers, where there is one of least entries or
// more to which what is stored leads; else l, the newest one.
func preferCosigned(l *signedLedger, kept []consent.Cosignature, least int64) *signedLedger {
	newest := newestCosigned(kept)
	if newest == nil || newest.Size < least || newest.Size >= l.said.Size {
		return l
	}
	said, err := noted(newest.Note)
	if err != nil || said.Size != newest.Size || said.Origin != l.said.Origin {
		return l
	}
	if root, err := rootAt(l, said.Size); err != nil || root.Root != said.Root {
		return l
	}
	at := *l.Checkpoint
	at.Size, at.Note = said.Size, newest.Note
	return &signedLedger{&at, &ledger.Checkpoint{Origin: said.Origin, Size: said.Size, Root: said.Root}, l.tree, l.reader}
}
