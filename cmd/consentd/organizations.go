package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/consentd/consentd/internal/consent"
)

// organizationsFrom gives a page of organizations behind so many others; an empty one ends the list.
type organizationsFrom func(offset int) ([]consent.OrganizationView, error)

// each visits the organization with an id or slug, or all for an empty name. Errors: that of a command line, which
// tells who there is, where nobody has the name; those of the list and of visit.
func (from organizationsFrom) each(name string, visit func(*consent.OrganizationView) error) error {
	var others []string
	for seen, found := 0, false; ; {
		page, err := from(seen)
		if err != nil {
			return err
		}
		for i := range page {
			o := &page[i]
			if name != "" && o.Slug != name && o.ID.String() != strings.ToLower(name) {
				others = noteSlug(others, o)
				continue
			}
			found = true
			if err := visit(o); err != nil {
				return err
			}
		}
		if seen += len(page); len(page) > 0 {
			continue
		}
		if name != "" && !found {
			return &exitError{exitUsage, fmt.Errorf("there is no organization %q; there are: %s", name,
				strings.Join(others, ", "))}
		}
		return nil
	}
}

// only gives the organization with an id or slug, or the only one there is for an empty name. Errors: as each, and
// those of a command line that had to name one.
func (from organizationsFrom) only(name string) (*consent.OrganizationView, error) {
	var found *consent.OrganizationView
	var slugs []string
	err := from.each(name, func(o *consent.OrganizationView) error {
		found, slugs = o, noteSlug(slugs, o)
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, errors.New("there is no organization yet: make one with the root key (POST /privacy-v1/organizations)")
	case len(slugs) > 1:
		return nil, &exitError{exitUsage, fmt.Errorf("there are several organizations; name one with --organization: %s",
			strings.Join(slugs, ", "))}
	}
	return found, nil
}

// mostSlugs is how many organizations a message names.
const mostSlugs = 20

// noteSlug adds an organization to those that a message names.
func noteSlug(slugs []string, o *consent.OrganizationView) []string {
	switch {
	case len(slugs) < mostSlugs:
		return append(slugs, o.Slug)
	case len(slugs) == mostSlugs:
		return append(slugs, "…")
	}
	return slugs
}
