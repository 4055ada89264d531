package service_test

import (
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

// TestAuditWithoutAKey: where the key file lacks a key, nothing can be told of what it wraps. That is no difference.
func TestAuditWithoutAKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.organization(t)
	h.record(t, a, itemsOf(1000)...)
	other, _, err := sealing.Create(filepath.Join(t.TempDir(), "kek"), rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		keys  *sealing.Ring
		lacks bool
	}{"the right file": {sealingtest.Ring(), false}, "one that lacks it": {other.Ring(rand.Reader), true}} {
		t.Run(name, func(t *testing.T) {
			auditor := service.Auditor{View: h.store.View, Keys: tc.keys, Fault: func(f service.AuditFault) {
				t.Errorf("it tells of entry %d: %s", f.Sequence, f.What)
			}}
			ledger, err := auditor.Ledger(t.Context(), a.Organization)
			if err != nil {
				t.Fatal(err)
			}
			found, err := ledger.Run(t.Context(), 0, nil)
			var unknown *sealing.UnknownKEKError
			if errors.As(err, &unknown) != tc.lacks || !tc.lacks && (err != nil || found.Opened < 1000) {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}

// TestAuditOfNothing: of a ledger without entries there is nothing that could differ.
func TestAuditOfNothing(t *testing.T) {
	h := newHarness(t)
	a := h.bare(t)
	h.damage(t, "DELETE FROM purposes")
	auditor := &service.Auditor{View: h.store.View, Keys: sealingtest.Ring(), SigningKey: sealingtest.SigningKey(),
		Fault: func(f service.AuditFault) { t.Errorf("%+v", f) }, Progress: func(int64) {}}
	audit, err := auditor.Ledger(t.Context(), a.Organization)
	if err != nil {
		t.Fatal(err)
	}
	found, err := audit.Run(t.Context(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (service.Audited{Organization: a.Organization}); *found != want {
		t.Errorf("found %+v", *found)
	}
}
