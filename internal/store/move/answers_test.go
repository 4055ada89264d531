package move

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
	"github.com/consentd/consentd/internal/store/storetest"
)

// sameAnswers asks a folder and a database everything that a Reader can be asked.
func sameAnswers(t *testing.T, f *movedStore, url string) {
	t.Helper()
	ctx := context.Background()
	lite, err := openSQLite(ctx, f.dir, sqlite.Options{Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	post, err := openPostgres(ctx, postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	for s, answers := range map[*store.Store]*map[string]any{lite: &want, post: &got} {
		err := s.View(ctx, func(r service.Reader) (err error) {
			*answers, err = allAnswers(ctx, r, f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := personsOf(ctx, s, f, *answers); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for what := range want {
		if diff := cmp.Diff(want[what], got[what], cmpopts.IgnoreUnexported(consent.Event{})); diff != "" {
			t.Errorf("%s (-folder +database):\n%.2000s", what, diff)
		}
	}
}

// allAnswers asks by each method of Reader for all that the folder holds, and for some that it does not.
func allAnswers(ctx context.Context, r service.Reader, f *movedStore) (map[string]any, error) {
	answers := map[string]any{}
	var errs []error
	put := func(what string, answer any, err error) {
		answers[what], errs = answer, append(errs, err)
	}
	for _, o := range f.Organizations {
		d, err := r.Catalog(ctx, o)
		put(fmt.Sprint("catalog of ", o), d, err)
		keys, err := r.Keys(ctx, o, consent.NoID, 100)
		put(fmt.Sprint("keys of ", o), keys, err)
		named, total, err := r.NamedSubjects(ctx, o, consent.SubjectFilter{Limit: 10_000})
		put(fmt.Sprint("named subjects of ", o), []any{named, total}, err)
		found, err := r.NamedAfter(ctx, consent.SubjectFilter{Type: "device", Limit: 100}, consent.OwnedName{Organization: o})
		put(fmt.Sprint("found subjects of ", o), found, err)
		for i, q := range []consent.EventQuery{{}, {ByOccurredAt: true, Ascending: true},
			{Projects: []int{2}, States: []consent.State{consent.Accepted}},
			{From: storetest.FirstEvent, Domains: []string{""}}, {Purposes: []consent.ProjectPurpose{{Project: 1,
				Purpose: 2}}}} {
			q.Organization, q.Limit = o, 10_000
			events, total, err := r.Events(ctx, q)
			put(fmt.Sprint("events ", i, " of ", o), []any{events, total}, err)
		}
	}
	organizations, total, err := r.Organizations(ctx, consent.NoID, consent.OrganizationFilter{Limit: 100})
	put("organizations", []any{organizations, total}, err)
	heads, err := r.Heads(ctx, f.Organizations)
	put("heads", heads, err)
	for _, slug := range append(f.Slugs, "free") {
		taken, err := r.SlugTaken(ctx, slug)
		put("slug "+slug, taken, err)
	}
	for _, name := range append(f.Secrets, "none") {
		value, err := r.Secret(ctx, name)
		put("secret "+name, value, err)
	}
	for _, id := range append(f.Keys, [2]consent.ID{}) { // the last: the root key that counts
		key, err := r.Key(ctx, id[0], id[1])
		put(fmt.Sprint("key ", id), key, err)
	}
	for i, x := range f.Texts {
		text, err := r.Text(ctx, x.Organization, x.Hash)
		put(fmt.Sprint("text ", i), text, err)
	}
	answersOf(ctx, r, f, put)
	return answers, errors.Join(errs...)
}

// personsOf asks where some people stand.
func personsOf(ctx context.Context, s *store.Store, f *movedStore, answers map[string]any) error {
	names := slices.Clone(f.Names[:min(200, len(f.Names))])
	for _, k := range f.Subjects[:min(50, len(f.Subjects))] {
		names = append(names, ownName(k))
	}
	for i, name := range names {
		who, err := s.Person(ctx, name, 1+i%3, nil)
		if err != nil {
			return err
		}
		sortConsents(who.Consents)
		answers[fmt.Sprint("person ", i)] = who
	}
	return nil
}

// ownName names a subject by its own id.
func ownName(k consent.SubjectKey) consent.OwnedName {
	return consent.OwnedName{Organization: k.Organization, Identifier: consent.Identifier{Kind: consent.AnonymousID,
		Value: k.Subject.String()}, Own: k.Subject}
}

// answersOf asks about people.
func answersOf(ctx context.Context, r service.Reader, f *movedStore, put func(string, any, error)) {
	owners, err := r.Owners(ctx, f.Names)
	put("owners", owners, err)
	var own []consent.OwnedName
	some := f.Subjects[:min(300, len(f.Subjects))] // one by one, all of them would take long
	for i, s := range some {
		own = append(own, ownName(s))
		subject, err := r.Subject(ctx, s.Organization, s.Subject)
		put(fmt.Sprint("subject ", i), subject, err)
		for version := 1; version <= 4; version++ {
			record, err := r.ArchivedRecord(ctx, s.Organization, s.Subject, version)
			put(fmt.Sprint("archived ", i, " ", version), record, err)
		}
		has, err := r.HasEvents(ctx, s.Organization, s.Subject)
		put(fmt.Sprint("has events ", i), has, err)
	}
	owners, err = r.Owners(ctx, own)
	put("owners by their own id", owners, err)
	claimants, err := r.Claimants(ctx, f.Names)
	put("claimants", claimants, err)
	merges, err := r.Merges(ctx, f.Subjects)
	for _, list := range merges {
		slices.SortFunc(list, func(x, y consent.SubjectMerge) int { return bytes.Compare(x.From[:], y.From[:]) })
	}
	put("merges", merges, err)
	identifiers, err := r.Names(ctx, f.Subjects)
	for _, list := range identifiers {
		slices.SortFunc(list, func(a, b consent.OwnedIdentifier) int {
			return strings.Compare(string(a.Kind)+"\x00"+a.Value, string(b.Kind)+"\x00"+b.Value)
		})
	}
	put("identifiers", identifiers, err)
	consents, err := r.Consents(ctx, f.Consents)
	put("consents", consents, err)
	of, err := r.ConsentsOf(ctx, f.Subjects)
	for _, list := range of {
		sortConsents(list)
	}
	put("consents of", of, err)
	history, err := r.History(ctx, f.Consents[:min(500, len(f.Consents))])
	for _, steps := range history {
		slices.SortFunc(steps, func(a, b consent.Step) int { return bytes.Compare(a.Event[:], b.Event[:]) })
	}
	put("history", history, err)
	kept, err := r.IdempotencyRecords(ctx, f.Answers)
	put("answers", kept, err)
	expired, err := r.WithExpiredRecords(ctx, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	slices.SortFunc(expired, func(a, b consent.ID) int { return bytes.Compare(a[:], b[:]) })
	put("expired answers", expired, err)
	for i, key := range f.Webhooks {
		hook, err := r.Webhook(ctx, key)
		put(fmt.Sprint("webhook ", i), hook, err)
		deliveries, err := r.Deliveries(ctx, key, consent.NoID, 100)
		put(fmt.Sprint("deliveries ", i), deliveries, err)
	}
	var people []consent.ID
	for _, s := range some[:min(20, len(some))] {
		if s.Organization == f.Organizations[1] {
			people = append(people, s.Subject)
		}
	}
	events, total, err := r.Events(ctx, consent.EventQuery{Organization: f.Organizations[1], Subjects: people,
		Limit: 1000})
	put("events of people", []any{events, total}, err)
}

// sortConsents puts consents in one order; a Reader may give them in any.
func sortConsents(list []consent.Consent) {
	slices.SortFunc(list, func(a, b consent.Consent) int { return bytes.Compare(a.Event[:], b.Event[:]) })
}
