package service_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// startsWith is how many entries a ledger has from the start: those of the purposes that a project begins with.
var startsWith = int64(len(consent.BuiltInPurposes()))

// making is an acceptance of a purpose that it makes where there is none.
func making(key string) consent.Decision {
	d := decided(key, consent.Accepted)
	d.Purpose.Create = true
	return d
}

// says are the bodies of entries, by kind.
func (h *harness) says(t tester, a consent.Actor, kind consent.EntryKind) (bodies []string) {
	t.Helper()
	for _, e := range h.ofKinds(t, a, kind) {
		bodies = append(bodies, string(e.BodyJSON))
	}
	return bodies
}

// TestPurposesAreEntries: each purpose, however it is made, and each change of one is an entry under the organization's
// own secret, before the first decision that may be on it.
func TestPurposesAreEntries(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	a := h.organization(t)
	if n := h.size(t, a); n != startsWith || len(h.ofKinds(t, a, consent.PurposeEntry)) != int(startsWith) {
		t.Errorf("a new ledger has %d entries", n)
	}
	made := h.record(t, a, item(user("ada"), making("own"), making("own-2")))
	if first := made.Items[0].Events[0].Sequence; first != startsWith+3 {
		t.Errorf("the first decision is entry %d", first)
	}
	project, err := h.svc.CreateProject(ctx, a, consent.NewProject{Name: "Second"}, consent.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.svc.AddPurpose(ctx, a, project.ID, consent.NewPurpose{Key: "mail", Name: "Mail", Document: "We mail."},
		consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	h.clock.add(time.Hour)
	name, archived, same := "Letters", "archived", "Letters"
	for _, change := range []consent.PurposeChange{{Name: &name}, {Status: &archived}, {Name: &same}} {
		if _, err := h.svc.UpdatePurpose(ctx, a, consent.UpdatePurpose{Project: project.ID, Key: "mail",
			Change: change}); err != nil {
			t.Fatal(err)
		}
	}
	bodies := h.says(t, a, consent.PurposeEntry)
	if want := int(2*startsWith) + 2 + 3; len(bodies) != want {
		t.Fatalf("%d entries of purposes, want %d", len(bodies), want)
	}
	for i, want := range [][]string{{`"name":"Mail"`, `"revision":1`, `"status":"active"`, `"version":1`,
		`"legal_text":"sha256:`}, {`"name":"Letters"`, `"revision":2`, `"status":"active"`, `"version":2`},
		{`"name":"Letters"`, `"revision":3`, `"status":"archived"`, `"version":2`}} {
		body := bodies[len(bodies)-3+i]
		for _, part := range append(want, project.ID.String(), `"purpose":"mail"`) {
			if !strings.Contains(body, part) {
				t.Errorf("change %d: %s is not in %s", i, part, body)
			}
		}
	}
	for _, e := range h.ofKinds(t, a, consent.PurposeEntry) {
		if e.Subject != consent.NoID {
			t.Errorf("entry %d is committed as %s", e.Sequence, e.Subject)
		}
	}
	if faults := h.audit(t, a); faults != "" {
		t.Errorf("an audit tells\n%s", faults)
	}
}

// TestManyPurposesAtOnce: a write may make as many purposes as a project has room for.
func TestManyPurposesAtOnce(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	w := write()
	room := 1000 - int(startsWith)
	for i := range room {
		w.Items = append(w.Items, item(user(fmt.Sprint("user-", i%10)), making(fmt.Sprint("own-", i))))
	}
	if _, err := h.svc.Record(t.Context(), a, w); err != nil {
		t.Fatal(err)
	}
	if n := h.size(t, a); n != startsWith+2*int64(room) {
		t.Errorf("%d entries", n)
	}
	if _, err := h.svc.Record(t.Context(), a, write(item(user("ada"), making("one-more")))); err == nil {
		t.Error("one more than there is room for")
	}
	if faults := h.audit(t, a); faults != "" {
		t.Errorf("an audit tells\n%s", faults)
	}
	h.checkLedger(t, a.Organization)
}

// TestRefusedPurposesAreNoEntries: a write that is refused makes no purpose and no entry.
func TestRefusedPurposesAreNoEntries(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	before := h.size(t, a)
	stranger := item(user("nobody"), making("own"))
	stranger.Known = true
	_, err := h.svc.Record(t.Context(), a, write(item(user("ada"), making("own")), stranger))
	if n := h.size(t, a); n != before || err == nil {
		t.Errorf("%d entries more, %v", n-before, err)
	}
}

// TestKeysAreEntries: a key that is made or revoked is an entry, once, without its secret and its name.
func TestKeysAreEntries(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	_, made := h.key(t, a, consent.ConsentsRead, consent.ConsentsWrite)
	for range 2 {
		if err := h.svc.RevokeKey(t.Context(), a, made.ID, consent.Idempotency{}); err != nil {
			t.Fatal(err)
		}
	}
	keys, ended := h.says(t, a, consent.KeyEntry), h.says(t, a, consent.KeyRevocationEntry)
	if len(keys) != 1 || !strings.Contains(keys[0], `"scopes":"consents:read consents:write"`) ||
		!strings.Contains(keys[0], made.ID.String()) {
		t.Errorf("made: %v", keys)
	}
	if len(ended) != 1 || !strings.Contains(ended[0], made.ID.String()) {
		t.Errorf("revoked: %v", ended)
	}
	for _, e := range h.others(t, a) {
		for _, blob := range [][]byte{e.BodyJSON, e.IdentityJSON} {
			if bytes.Contains(blob, []byte(made.Text)) || bytes.Contains(blob, []byte(fmt.Sprintf("%x", made.SecretHash))) {
				t.Errorf("entry %d tells the secret", e.Sequence)
			}
		}
	}
	before := h.size(t, a)
	if _, err := h.svc.CreateRootKey(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if n := h.size(t, a); n != before {
		t.Errorf("the root key is an entry of an organization")
	}
	if faults := h.audit(t, a); faults != "" {
		t.Errorf("an audit tells\n%s", faults)
	}
}

// TestAuditOfCatalog: whoever changes purposes, their versions or keys is found, with the entry and the field.
func TestAuditOfCatalog(t *testing.T) {
	for name, tc := range map[string]struct{ statement, says string }{
		"as committed": {"UPDATE purposes SET revision = revision", ""},
		"a name":       {"UPDATE purposes SET name = 'X' WHERE purpose_key = 'mail'", "changed name: the version"},
		"a duration":   {"UPDATE purposes SET duration = 'P9Y' WHERE purpose_key = 'mail'", "changed duration: "},
		"a status":     {"UPDATE purposes SET status = 'archived' WHERE purpose_key = 'mail'", "changed status: "},
		"a legal text": {"UPDATE purposes SET document_hash = zeroblob(32) WHERE purpose_key = 'mail'",
			"changed legal_text: "},
		"a built-in one": {"UPDATE purposes SET required = 1 WHERE purpose_key = 'analytics'",
			" required: the version of the purpose"},
		"an earlier version": {"UPDATE purpose_versions SET legal_basis = 'contract'", "made legal_basis: "},
		"when it held":       {"UPDATE purpose_versions SET held_from = held_from - 1", "made held_from: "},
		"a version deleted":  {"DELETE FROM purpose_versions", "made : version 1 of purpose \"mail\", of which it tells"},
		"a version made up": {`INSERT INTO purpose_versions SELECT organization_id, project_no, 1, 1, name, description,
			url, legal_basis, document_hash, texts_hash, require_reaccept, held_from FROM purpose_versions`,
			"0 : purpose \"strictly_necessary\" has 1 earlier versions on record"},
		"a purpose made up": {`INSERT INTO purposes SELECT organization_id, project_no, 99, zeroblob(16), 'evil', 'e',
			'e', 'e', 1, name, description, url, legal_basis, document_hash, texts_hash, read_only, valid_states, status,
			duration, required, require_reaccept, held_from, revision, created_at, updated_at FROM purposes
			WHERE purpose_key = 'mail'`,
			"0 : no entry tells of version 1 of purpose \"evil\""},
		"a purpose's key": {"UPDATE purposes SET purpose_key = 'post' WHERE purpose_key = 'mail'",
			"0 : no entry tells of version 2 of purpose \"post\""},
		"a key's scopes": {"UPDATE api_keys SET scopes = 'consents:read subjects:erase' WHERE name = 'key'",
			"key scopes: "},
		"a key's expiry": {"UPDATE api_keys SET expires_at = 7 WHERE name = 'key'", "key expires_at: "},
		"a key in force": {"UPDATE api_keys SET revoked_at = NULL WHERE name = 'key'", "revoked revoked_at: "},
		"a key deleted":  {"DELETE FROM api_keys WHERE name = 'key'", ", of which it tells, is not on record"},
		"a key revoked":  {"UPDATE api_keys SET revoked_at = 7 WHERE name = 'other'", ", and it is said to be"},
		"a key made up": {`INSERT INTO api_keys SELECT organization_id, zeroblob(16), name, scopes, secret_hash, created_at,
			NULL, NULL FROM api_keys WHERE name = 'other'`, "0 : no entry tells that key "},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			ctx := context.Background()
			a := h.organization(t)
			project := mainProject(t, h, a)
			if _, err := h.svc.AddPurpose(ctx, a, project, consent.NewPurpose{Key: "mail", Name: "Mail"},
				consent.Idempotency{}); err != nil {
				t.Fatal(err)
			}
			made := h.size(t, a)
			h.clock.add(time.Hour)
			letters := "Letters"
			if _, err := h.svc.UpdatePurpose(ctx, a, consent.UpdatePurpose{Project: project, Key: "mail",
				Change: consent.PurposeChange{Name: &letters}}); err != nil {
				t.Fatal(err)
			}
			changed := h.size(t, a)
			_, key := h.key(t, a, consent.ConsentsRead)
			if err := h.svc.RevokeKey(ctx, a, key.ID, consent.Idempotency{}); err != nil {
				t.Fatal(err)
			}
			if _, err := h.svc.CreateKey(ctx, a, consent.NewKey{Name: "other", Scopes: slices.Clone(consent.AllScopes)},
				consent.Idempotency{}); err != nil {
				t.Fatal(err)
			}
			h.damage(t, tc.statement)
			says := tc.says
			for word, sequence := range map[string]int64{"changed ": changed, "made ": made, "key ": changed + 1,
				"revoked ": changed + 2} {
				if rest, ok := strings.CutPrefix(says, word); ok {
					says = fmt.Sprint(sequence, " ", rest)
				}
			}
			faults := h.audit(t, a)
			if says == "" && faults != "" || !strings.Contains(faults, says) {
				t.Errorf("it tells\n%s\nwant %s", faults, says)
			}
		})
	}
}
