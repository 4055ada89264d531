package service_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func TestAuthenticate(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	actor, made := h.key(t, a, consent.ConsentsRead)
	if actor.Organization != a.Organization || actor.Key != made.Key.ID || actor.Root || len(actor.Scopes) != 1 ||
		!strings.HasPrefix(made.Text, "cd_live_") {
		t.Errorf("%s authenticates as %+v", made.Text, actor)
	}
	mistyped := []byte(made.Text)
	mistyped[60] = base62[(strings.IndexByte(base62, mistyped[60])+1)%62]
	for _, text := range []string{"", " ", made.Text + " ", strings.ToUpper(made.Text), string(mistyped), rootKey + "x",
		"Bearer " + made.Text} {
		_, err := h.svc.Authenticate(ctx, text)
		isKind(t, text, err, consent.Unauthenticated, "")
	}
	expiring, err := h.svc.CreateKey(ctx, a, consent.NewKey{Name: "short", Scopes: []consent.Scope{consent.ConsentsRead},
		ExpiresAt: noon.Add(time.Hour)}, consent.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	h.clock.set(noon.Add(time.Hour - time.Microsecond))
	h.authenticate(t, expiring.Text)
	h.clock.set(noon.Add(time.Hour))
	_, err = h.svc.Authenticate(ctx, expiring.Text)
	isKind(t, "expired", err, consent.Unauthenticated, "")
	if err := h.svc.RevokeKey(ctx, a, made.ID, consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	_, err = h.svc.Authenticate(ctx, made.Text)
	isKind(t, "revoked", err, consent.Unauthenticated, "")
	if err := h.svc.RevokeKey(ctx, a, made.ID, consent.Idempotency{}); err != nil {
		t.Errorf("revoked again: %v", err)
	}
	isKind(t, "another organization's key", h.svc.RevokeKey(ctx, h.organization(t), made.ID, consent.Idempotency{}),
		consent.NotFound, "")
}

// TestStrangerCannotLockAKeyOut: whoever knows a key's id can write a well-formed key of another organization
// with that id; what comes of it is not kept for the true one. The same for a token that a root key signed.
func TestStrangerCannotLockAKeyOut(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	made, err := h.svc.CreateKey(ctx, h.organization(t), consent.NewKey{Name: "key",
		Scopes: []consent.Scope{consent.ConsentsRead}}, consent.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	forged := service.KeyTextForTest(consent.ID{1, 2, 3}, made.ID)
	_, err = h.svc.Authenticate(ctx, forged)
	isKind(t, "a forged key", err, consent.Unauthenticated, "")
	if _, err := h.svc.Authenticate(ctx, made.Text); err != nil {
		t.Errorf("the true key after a forged one: %v", err)
	}
}

func TestRootKey(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	first, err := h.svc.CreateRootKey(ctx, false)
	if err != nil || first.Text == "" {
		t.Fatal(first, err)
	}
	if again, err := h.svc.CreateRootKey(ctx, false); err != nil || again.Text != "" {
		t.Errorf("a second root key was made: %v", err)
	}
	_, err = h.svc.Authenticate(ctx, first.Text)
	isKind(t, "the store's root key beside a configured one", err, consent.Unauthenticated, "")

	plain := service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), Clock: h.clock.now})
	defer plain.Close()
	root, err := plain.Authenticate(ctx, first.Text)
	if err != nil || !root.Root {
		t.Fatal(root, err)
	}
	_, err = plain.Authenticate(ctx, rootKey)
	isKind(t, "a root key that is not configured", err, consent.Unauthenticated, "")
	second, err := plain.CreateRootKey(ctx, true)
	if err != nil || second.Text == "" {
		t.Fatal(second, err)
	}
	_, err = plain.Authenticate(ctx, first.Text)
	isKind(t, "the root key that was replaced", err, consent.Unauthenticated, "")
	if root, err = plain.Authenticate(ctx, second.Text); err != nil || !root.Root {
		t.Error(root, err)
	}
	isKind(t, "revoking the root key", plain.RevokeKey(ctx, plain.Operator(), second.ID, consent.Idempotency{}),
		consent.NotFound, "")

	// A token that a root key signed ends with that key.
	a := h.organization(t)
	if _, err := plain.AuthenticatePerson(ctx, a.Organization, second.ID, "ada", []byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := plain.CreateRootKey(ctx, true); err != nil {
		t.Fatal(err)
	}
	_, err = plain.AuthenticatePerson(ctx, a.Organization, second.ID, "ada", []byte("x"))
	isKind(t, "a token of the root key that was replaced", err, consent.Unauthenticated, "")
}

func TestNewKeyErrors(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	all := h.organization(t)
	some, _ := h.key(t, all, consent.OrganizationsWrite, consent.ConsentsRead)
	reader, _ := h.key(t, all, consent.OrganizationsRead)
	read := []consent.Scope{consent.ConsentsRead}
	for _, tc := range []struct {
		name  string
		actor consent.Actor
		in    consent.NewKey
		kind  consent.Kind
		field string
	}{
		{"no name", all, consent.NewKey{Scopes: read}, consent.Invalid, "name"},
		{"long name", all, consent.NewKey{Name: strings.Repeat("é", 257), Scopes: read}, consent.Invalid, "name"},
		{"no scope", all, consent.NewKey{Name: "x"}, consent.Invalid, "scopes"},
		{"unknown scope", all, consent.NewKey{Name: "x", Scopes: []consent.Scope{consent.ConsentsRead, "all"}},
			consent.Invalid, "scopes[1]"},
		{"more than its maker", some, consent.NewKey{Name: "x", Scopes: []consent.Scope{consent.ConsentsWrite}},
			consent.Forbidden, "scopes"},
		{"expires now", all, consent.NewKey{Name: "x", Scopes: read, ExpiresAt: noon}, consent.Invalid, "expiresAt"},
		{"by a reader", reader, consent.NewKey{Name: "x", Scopes: read}, consent.Forbidden, ""},
	} {
		_, err := h.svc.CreateKey(ctx, tc.actor, tc.in, consent.Idempotency{})
		isKind(t, tc.name, err, tc.kind, tc.field)
	}
	made, err := h.svc.CreateKey(ctx, some, consent.NewKey{Name: strings.Repeat("é", 256),
		Scopes: []consent.Scope{consent.ConsentsRead, consent.ConsentsRead}}, consent.Idempotency{})
	if err != nil || len(made.Scopes) != 1 || made.SecretHash == (sha256.Sum256(nil)) {
		t.Errorf("%+v, %v", made.Key, err)
	}
	keys, err := h.svc.Keys(ctx, reader, consent.NoID, 100)
	if err != nil || len(keys) != 3 {
		t.Errorf("%d keys of 3, %v", len(keys), err)
	}
}

// TestScopes calls everything without the scope that it needs.
func TestScopes(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	h.record(t, a, item(user("ada")))
	for name, tc := range map[string]struct {
		needs []consent.Scope
		call  func(consent.Actor) error
	}{
		"record": {[]consent.Scope{consent.ConsentsWrite}, func(a consent.Actor) error {
			_,
				err := h.svc.Record(ctx, a, write(item(user("ada"))))
			return err
		}},
		"person": {[]consent.Scope{consent.ConsentsRead}, func(a consent.Actor) error {
			_, err := h.svc.Person(ctx, a, consent.PersonQuery{Identifier: user("ada")[0]})
			return err
		}},
		"record as a form does": {[]consent.Scope{consent.ManageHub}, func(a consent.Actor) error {
			w := write(item(user("ada")))
			w.Scope = consent.ManageHub
			_, err := h.svc.Record(ctx, a, w)
			return err
		}},
		"person as a form does": {[]consent.Scope{consent.ManageHub}, func(a consent.Actor) error {
			_, err := h.svc.Person(ctx, a, consent.PersonQuery{Identifier: user("ada")[0], Scope: consent.ManageHub})
			return err
		}},
		"events": {[]consent.Scope{consent.ConsentsRead}, func(a consent.Actor) error {
			_,
				err := h.svc.Events(ctx, a, consent.EventFilter{})
			return err
		}},
		"purposes": {[]consent.Scope{consent.ConsentsRead}, func(a consent.Actor) error {
			_, _,
				err := h.svc.Purposes(ctx, a, consent.NoID)
			return err
		}},
		"create purpose": {[]consent.Scope{consent.ConsentsWrite}, func(a consent.Actor) error {
			_, err := h.svc.CreatePurpose(ctx, a, consent.NoID, consent.NewPurpose{Name: "a purpose", Key: string(a.Scopes[0]),
				Taxonomy: consent.Taxonomy{Category: "custom", Subcategory: "scopes", Label: string(a.Scopes[0])}},
				consent.Idempotency{})
			return err
		}},
		"save subject": {[]consent.Scope{consent.SubjectsWrite}, func(a consent.Actor) error {
			_, err := h.svc.SaveSubject(ctx, a, consent.SaveSubject{Type: "user", Name: "eve"})
			return err
		}},
		"save person": {[]consent.Scope{consent.SubjectsWrite}, func(a consent.Actor) error {
			_, err := h.svc.SavePerson(ctx, a, consent.SavePerson{Handles: named(consent.Email, "e@example.com"), Upsert: true})
			return err
		}},
		"delete subject": {[]consent.Scope{consent.SubjectsWrite}, func(a consent.Actor) error {
			err := h.svc.DeleteSubject(ctx, a, consent.DeleteSubject{Type: "user", Name: "nobody", KeepProof: true})
			if consent.IsKind(err, consent.NotFound) {
				return nil
			}
			return err
		}},
		"subject": {[]consent.Scope{consent.SubjectsRead}, func(a consent.Actor) error {
			_,
				err := h.svc.Subject(ctx, a, "user", "ada", 0)
			return err
		}},
		"subjects": {[]consent.Scope{consent.SubjectsRead}, func(a consent.Actor) error {
			_,
				err := h.svc.Subjects(ctx, a, consent.SubjectFilter{})
			return err
		}},
		"organization": {[]consent.Scope{consent.OrganizationsRead}, func(a consent.Actor) error {
			_,
				err := h.svc.Organization(ctx, a)
			return err
		}},
		"organizations": {[]consent.Scope{consent.OrganizationsRead}, func(a consent.Actor) error {
			_, err := h.svc.Organizations(ctx, a, consent.OrganizationFilter{})
			return err
		}},
		"create project": {[]consent.Scope{consent.OrganizationsWrite}, func(a consent.Actor) error {
			_, err := h.svc.CreateProject(ctx, a, consent.NewProject{Name: "project"}, consent.Idempotency{})
			return err
		}},
		"create key": {[]consent.Scope{consent.OrganizationsWrite}, func(a consent.Actor) error {
			_, err := h.svc.CreateKey(ctx, a, consent.NewKey{Name: "k", Scopes: a.Scopes}, consent.Idempotency{})
			return err
		}},
		"keys": {[]consent.Scope{consent.OrganizationsRead}, func(a consent.Actor) error {
			_,
				err := h.svc.Keys(ctx, a, consent.NoID, 1)
			return err
		}},
		"revoke key": {[]consent.Scope{consent.OrganizationsWrite}, func(a consent.Actor) error {
			err := h.svc.RevokeKey(ctx, a, consent.ID{1}, consent.Idempotency{})
			if consent.IsKind(err, consent.NotFound) {
				return nil
			}
			return err
		}},
		"new organization": {nil, func(a consent.Actor) error {
			_, err := h.svc.CreateOrganization(ctx, a, consent.NewOrganization{Name: "mine"}, consent.Idempotency{})
			return err
		}},
	} {
		for _, scope := range consent.AllScopes {
			actor, _ := h.key(t, a, scope)
			may := false
			for _, needed := range tc.needs {
				may = may || needed == scope
			}
			if err := tc.call(actor); may && err != nil || !may && !consent.IsKind(err, consent.Forbidden) {
				t.Errorf("%s with the scope %s: %v", name, scope, err)
			}
		}
	}
}

func TestSecretIsMadeOnce(t *testing.T) {
	h := newHarness(t)
	first, err := h.svc.Secret(context.Background(), "signing", 48)
	if err != nil || len(first) != 48 {
		t.Fatal(len(first), err)
	}
	again, err := h.svc.Secret(context.Background(), "signing", 48)
	other, err2 := h.svc.Secret(context.Background(), "other", 48)
	if err != nil || err2 != nil || string(again) != string(first) || string(other) == string(first) {
		t.Errorf("not the same secret again (%v), or the same for another name (%v)", err, err2)
	}
}
