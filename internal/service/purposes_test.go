package service_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/consentd/consentd/internal/consent"
)

func TestEveryProjectStartsWithThePurposes(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	project, err := h.svc.CreateProject(context.Background(), a, consent.NewProject{Name: "second"}, consent.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{ // contracts, "Purposes"
		"strictly_necessary privacy_setting strictly_necessary *", "functional privacy_setting functional *",
		"analytics privacy_setting analytics *", "marketing privacy_setting marketing *",
		"experience privacy_setting experience *",
		"retargeting custom unclassified retargeting", "tracking custom unclassified tracking",
		"none custom unclassified none",
		"general_marketing_opt_in communication email general_marketing", "do_not_sell privacy_setting do_not_sell *",
		"privacy_policy disclosure privacy_policy *", "terms_of_service disclosure terms_of_service *",
	}
	for _, id := range []consent.ID{consent.NoID, project.ID} {
		_, purposes, err := h.svc.Purposes(context.Background(), a, id)
		if err != nil || len(purposes) != len(want) {
			t.Fatal(len(purposes), err)
		}
		for i, p := range purposes {
			if got := strings.Join([]string{p.Key, p.Taxonomy.Category, p.Taxonomy.Subcategory, p.Taxonomy.Label},
				" "); got != want[i] ||
				!p.ReadOnly || p.Version != 1 || p.Duration != "P12M" || p.Status != "active" {
				t.Errorf("purpose %d is %s: %+v", i, got, p)
			}
		}
	}
}

func TestCreatePurpose(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	in := consent.NewPurpose{Name: "A letter", Taxonomy: consent.Taxonomy{Category: "communication", Subcategory: "email",
		Label: "letter"},
		Document: "We write monthly.", ValidStates: []consent.State{consent.Accepted}, Duration: "P30D"}
	made, err := h.svc.CreatePurpose(ctx, a, consent.NoID, in, consent.Idempotency{})
	if err != nil || made.Key != "letter" || made.Number != 13 || made.ReadOnly {
		t.Fatalf("%+v, %v", made, err)
	}
	text, err := h.svc.Document(ctx, a, made)
	if err != nil || text != in.Document {
		t.Errorf("the text reads %q, %v", text, err)
	}
	if text, err := h.svc.Document(ctx, h.organization(t), made); err != nil || text != "" {
		t.Errorf("another organization reads the text: %q, %v", text, err)
	}
	e := h.record(t, a, item(user("ada"), decided("letter", consent.Accepted))).Items[0].Events[0]
	if !e.ExpiresAt.Equal(noon.AddDate(0, 0, 30)) {
		t.Errorf("expires at %v", e.ExpiresAt)
	}
	_, err = h.svc.Record(ctx, a, write(item(user("ada"), decided("letter", consent.Viewed))))
	isKind(t, "a state that is not valid", err, consent.Unprocessable, "items[0].state")
	h.record(t, a, item(user("ada"), decided("letter", consent.Withdrawn))) // what was accepted may be taken back
	for _, tc := range []struct {
		name  string
		kind  consent.Kind
		field string
		in    consent.NewPurpose
	}{
		{"taxonomy taken", consent.Conflict, "", in},
		{"key taken", consent.Conflict, "", consent.NewPurpose{Name: "Other", Key: "letter",
			Taxonomy: consent.Taxonomy{Category: "x", Subcategory: "y"}}},
		{"no key", consent.Invalid, "key", consent.NewPurpose{Name: "Other"}},
		{"half a taxonomy", consent.Invalid, "subcategory", consent.NewPurpose{Name: "Other",
			Taxonomy: consent.Taxonomy{Category: "x"}}},
		{"no name", consent.Invalid, "name", consent.NewPurpose{}},
		{"long name", consent.Invalid, "name", consent.NewPurpose{Name: strings.Repeat("x", 129)}},
		{"long description", consent.Invalid, "description", consent.NewPurpose{Name: "abcde",
			Description: strings.Repeat("x", 2001)}},
		{"long document", consent.Invalid, "document", consent.NewPurpose{Name: "abcde",
			Document: strings.Repeat("x", consent.MaxDocument+1)}},
		{"bad duration", consent.Invalid, "duration", consent.NewPurpose{Name: "abcde", Duration: "1 year"}},
	} {
		_, err := h.svc.CreatePurpose(ctx, a, consent.NoID, tc.in, consent.Idempotency{})
		isKind(t, tc.name, err, tc.kind, tc.field)
	}
	// A second purpose of that label gets a key of its own.
	second := in
	second.Taxonomy.Subcategory = "post"
	if made, err := h.svc.CreatePurpose(ctx, a, consent.NoID, second, consent.Idempotency{}); err != nil ||
		made.Key != "post.letter" {
		t.Errorf("%+v, %v", made, err)
	}
}

// TestPurposeOnFirstUse: a key makes one purpose however many use it, and keys that look alike make several.
func TestPurposeOnFirstUse(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	first := func(key string) consent.Item {
		return item(user("ada"), consent.Decision{Purpose: consent.PurposeRef{Key: key, Create: true},
			State: consent.Accepted, Action: consent.UserClick})
	}
	keys := []string{"NewsLetter", "newsletter", "news-letter", "news_letter", "ünï", "ünö", strings.Repeat("k", 128),
		"analytics"}
	for range 2 {
		var items []consent.Item
		for _, key := range keys {
			items = append(items, first(key), first(key))
		}
		h.record(t, a, items...)
	}
	_, purposes, err := h.svc.Purposes(ctx, a, consent.NoID)
	if err != nil || len(purposes) != 12+len(keys)-1 {
		t.Errorf("%d purposes, %v", len(purposes), err)
	}
	if p := h.person(t, a, user("ada")[0]); len(p.Consents) != len(keys) {
		t.Errorf("%d consents of %d", len(p.Consents), len(keys))
	}
	for _, key := range []string{"", strings.Repeat("k", 129), "a\x00", "\xff"} {
		_, err := h.svc.Record(ctx, a, write(first(key)))
		isKind(t, fmt.Sprintf("%q", key), err, consent.Invalid, "items[0].purpose")
	}
}

func TestPurposesHaveABound(t *testing.T) {
	h := newHarness(t)
	a, ctx := h.organization(t), context.Background()
	fill := func(from, n int) error {
		var items []consent.Item
		for i := range n {
			items = append(items, item(user("ada"), consent.Decision{Purpose: consent.PurposeRef{Key: fmt.Sprint("key", from+i),
				Create: true},
				State: consent.Accepted, Action: consent.UserClick}))
		}
		_, err := h.svc.Record(ctx, a, write(items...))
		return err
	}
	if err := fill(0, 984); err != nil {
		t.Fatal(err)
	}
	isKind(t, "five more where four fit", fill(1000, 5), consent.Conflict, "")
	if err := fill(1000, 4); err != nil {
		t.Errorf("four more: %v", err)
	}
	if _, purposes, err := h.svc.Purposes(ctx, a, consent.NoID); err != nil || len(purposes) != 1000 {
		t.Errorf("%d purposes, %v", len(purposes), err)
	}
}
