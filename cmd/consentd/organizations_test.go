package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
)

// twoAtATime gives organizations two at a time.
func twoAtATime(all []consent.OrganizationView) organizationsFrom {
	return func(offset int) ([]consent.OrganizationView, error) {
		return slices.Clone(all[offset:min(offset+2, len(all))]), nil
	}
}

func someOrganizations(n int) (all []consent.OrganizationView) {
	for i := range n {
		var o consent.OrganizationView
		o.ID, o.Slug = uuid.New(), fmt.Sprint("shop-", i)
		all = append(all, o)
	}
	return all
}

func TestOrganizationsByName(t *testing.T) {
	all := someOrganizations(5)
	for i := range all {
		for _, name := range []string{all[i].Slug, all[i].ID.String(), strings.ToUpper(all[i].ID.String())} {
			if o, err := twoAtATime(all).only(name); err != nil || o.ID != all[i].ID {
				t.Errorf("%s: %v, %v", name, o, err)
			}
		}
	}
	seen := 0
	if err := twoAtATime(all).each("", func(o *consent.OrganizationView) error {
		if o.ID != all[seen].ID {
			t.Errorf("%d is %s", seen, o.Slug)
		}
		seen++
		return nil
	}); err != nil || seen != len(all) {
		t.Errorf("%d are visited, %v", seen, err)
	}
	refused := errors.New("refused")
	err := twoAtATime(all).each("shop-4", func(*consent.OrganizationView) error { return refused })
	if !errors.Is(err, refused) {
		t.Error(err)
	}
}

func TestOrganizationsNotNamed(t *testing.T) {
	for _, tc := range []struct {
		there int
		name  string
		usage bool
		says  string
	}{
		{0, "", false, "there is no organization yet"},
		{0, "shop", true, `there is no organization "shop"; there are: `},
		{3, "SHOP-1", true, `there is no organization "SHOP-1"; there are: shop-0, shop-1, shop-2`},
		{3, "", true, "name one with --organization: shop-0, shop-1, shop-2"},
		{100, "", true, "shop-19, …"},
		{100, "nobody", true, "shop-19, …"},
	} {
		_, err := twoAtATime(someOrganizations(tc.there)).only(tc.name)
		var exit *exitError
		if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "shop-20") ||
			errors.As(err, &exit) != tc.usage || tc.usage && exit.code != exitUsage {
			t.Errorf("%d, %q: %v", tc.there, tc.name, err)
		}
	}
	if o, err := twoAtATime(someOrganizations(1)).only(""); err != nil || o.Slug != "shop-0" {
		t.Errorf("the only one: %v, %v", o, err)
	}
}
