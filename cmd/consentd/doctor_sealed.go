package main

import (
	"context"
	"fmt"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
)

const sealedCheck = "sealed"

// sealed opens all that an organization has sealed beside its events, where everything is looked at.
func (d *doctor) sealed(ctx context.Context, i *store.Inspection, o *consent.Organization, t *tally) error {
	if !d.full || d.opener == nil {
		return nil
	}
	return i.Sealed(ctx, o.ID, d.opener.Faults, func(row *service.SealedRow, fault error) {
		if fault != nil {
			t.seal.add("organization %s, %s, table %s: %v", o.Slug, whose(row), row.Table(), fault)
		}
		t.sealed++
		d.showProgress(t)
	})
}

// whose names whom a row is about.
func whose(row *service.SealedRow) string {
	if row.Subject == consent.NoID {
		return "of its own"
	}
	return "subject " + row.Subject.String()
}

// sealedTexts writes what was found of what is sealed.
func (d *doctor) sealedTexts(t *tally) {
	switch {
	case !d.full || d.keyless:
	case d.opener == nil:
		d.warn(sealedCheck, "not looked at: identifiers, data and texts of people are encrypted, and the key file is not "+
			"at hand or lacks a key", "see keys above")
	default:
		d.faults(sealedCheck, fmt.Sprintf("%d looked at, each opens by its key, and identifiers are found by their indexes",
			t.sealed), t.seal.all(), nil)
	}
}
