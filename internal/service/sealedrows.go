package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/ledger"
)

// SealedRow is a row of a store, with what in it is sealed by the key of whom it names, as it is stored. One of the
// others is set.
type SealedRow struct {
	consent.SubjectKey
	Name     *consent.OwnedIdentifier // of identifiers; whose key it is, First tells
	Record   *consent.Record          // of subjects
	Archived *consent.Record          // of subject_archive
	Text     *consent.SubjectText     // of subject_texts
	Entry    *consent.ExportedEvent   // of ledger_entries
	Webhook  *consent.Webhook         // of webhooks
}

// Table names where the row stands.
func (r *SealedRow) Table() string {
	switch {
	case r.Name != nil:
		return "identifiers"
	case r.Record != nil:
		return "subjects"
	case r.Archived != nil:
		return "subject_archive"
	case r.Text != nil:
		return "subject_texts"
	case r.Webhook != nil:
		return "webhooks"
	}
	return "ledger_entries"
}

// key tells by whose key the row is sealed.
func (r *SealedRow) key() consent.SubjectKey {
	if r.Name != nil {
		return r.Name.First()
	}
	return r.SubjectKey
}

// Faults opens what rows of an organization have sealed, in the state that they were read in, and says by index of them
// what is wrong with each; nil: nothing. The texts are lost by that. Errors: those of the store, and of a key that the
// key file lacks.
func (o *Opener) Faults(ctx context.Context, r Reader, organization consent.ID, rows []SealedRow) ([]error, error) {
	opener, own := o.reader(r).opener(ctx), consent.SubjectKey{Organization: organization}
	for i := range rows {
		opener.want(rows[i].key())
		if rows[i].Name != nil {
			opener.want(own)
		}
	}
	if err := opener.load(); err != nil {
		return nil, err
	}
	var known *indexes
	if own := opener.subjects[own]; own != nil {
		var err error
		if known, err = indexesBy((*ledger.Secret)(own.Key().Secret())); err != nil {
			return nil, err
		}
	}
	faults := make([]error, len(rows))
	for i := range rows {
		faults[i] = opener.fault(&rows[i], known)
	}
	return faults, nil
}

var (
	errNoIndex    = errors.New("whether it is found by its index cannot be told: the organization's own key is gone")
	errOtherIndex = errors.New("it is found by the index of another identifier")
	errOtherText  = errors.New("it is not the text that its hash says")
)

// fault opens one row, whose key is loaded.
func (p *opener) fault(r *SealedRow, known *indexes) error {
	switch {
	case r.Name != nil:
		return p.faultOfName(r.Name, known)
	case r.Record != nil:
		return p.openRecords([]sealedRecord{{r.SubjectKey, r.Record}}, currentRecord)
	case r.Archived != nil:
		return p.openRecords([]sealedRecord{{r.SubjectKey, r.Archived}}, archivedRecord)
	case r.Text != nil:
		text, err := p.open(r.SubjectKey, sealing.LabelText, r.Text.Hash, r.Text.Sealed)
		if hash := sha256.Sum256(text); err == nil && !bytes.Equal(hash[:], r.Text.Hash) {
			err = errOtherText
		}
		return err
	case r.Webhook != nil:
		return p.openWebhook(r.Webhook)
	}
	_, err := p.open(r.SubjectKey, sealing.LabelIdent, r.Entry.ID[:], r.Entry.IdentityJSON)
	return err
}

func (p *opener) faultOfName(n *consent.OwnedIdentifier, known *indexes) error {
	value, err := p.open(n.First(), sealing.LabelIdentifier, []byte(n.Value), n.Sealed)
	switch {
	case err != nil:
		return err
	case known == nil:
		return errNoIndex
	case known.value(consent.Identifier{Kind: n.Kind, Project: n.Project, Value: string(value)}) != n.Value:
		return errOtherIndex
	}
	return nil
}
