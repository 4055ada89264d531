package service_test

import (
	"context"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

// TestProjectSlugsAreUnique makes projects whose names ask for slugs that others have, also such as are made from names.
func TestProjectSlugsAreUnique(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	seen := map[string]bool{}
	for _, name := range []string{"Shop", "Shop", "Shop 5", "Shop", "Shop", "shop!", "Shop 7", "Shop", "---", "---"} {
		p, err := h.svc.CreateProject(context.Background(), a, consent.NewProject{Name: name}, consent.Idempotency{})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if seen[p.Slug] {
			t.Errorf("%q gets the slug %s, which another has", name, p.Slug)
		}
		seen[p.Slug] = true
	}
}
