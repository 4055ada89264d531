// Package storetest knows what a service.Store must do, and holds an engine to
// it: an engine's own test calls Run. It does not know the engines.
package storetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

// Run holds stores that open makes to the contract. Each call of open gives an empty store of its own, which open
// closes when the test ends.
func Run(t *testing.T, open func(t *testing.T) service.Store) {
	for _, part := range []struct {
		name string
		test func(f *fixture)
	}{
		{"organizations", testOrganizations}, {"list of organizations", testOrganizationList}, {"keys", testKeys},
		{"versions of purposes", testPurposeVersions}, {"secrets", testSecrets}, {"texts", testTexts},
		{"texts of subjects", testSubjectTexts},
		{"subjects", testSubjects}, {"list of subjects", testNamedSubjects},
		{"removal", testRemoval}, {"identifiers", testIdentifiers}, {"identifiers settled", testSettled},
		{"merges", testMerges}, {"names", testNames}, {"claims", testClaims},
		{"claims of merged people", testMergedClaims}, {"consents", testConsents},
		{"consents by name", testConsentsByName},
		{"person", testPerson}, {"persons who change", testChangingPersons},
		{"persons asked meanwhile", testPersonsMeanwhile}, {"heads and counts", testHeads},
		{"secrets and rows of the tree", testLedger}, {"idempotency records",
			testIdempotencyRecords},
		{"checkpoints", testCheckpoints}, {"unsigned ledgers", testUnsigned},
		{"webhooks", testWebhooks}, {"webhooks that are behind", testWebhooksBehind}, {"deliveries", testDeliveries},
		{"old deliveries", testOldDeliveries},
		{"untold", testUntold},
		{"cosignatures", testCosignatures}, {"ledgers not cosigned", testUncosigned}, {"erasures", testErasures},
		{"jobs", testJobs}, {"held jobs", testHeldJobs}, {"expiries", testExpiries},
		{"entries by id", testEntryAfter},
		{"entries that are no decisions", testEntries}, {"entries in parts", testEntriesInParts},
		{"own entries", testOwnEntries},
		{"erasure", testErasure},
		{"answers about the erased", testErasedAnswers},
		{"restrictions", testRestrictions}, {"suppressions", testSuppressions},
		{"events", testEvent},
		{"searches of events", testEventQueries}, {"export of events", testExportEvents},
		{"export of consents", testExportConsents}, {"history", testHistory}, {"timeline", testTimeline},
		{"imports", testImports}, {"list of imports", testImportList}, {"what helps with imports", testImportHelp},
		{"tenants", testTenants},
		{"big batch", testBigBatch}, {"atomicity", testAtomicity}, {"own writes", testOwnWrites}, {"prefetch", testPrefetch},
		{"snapshot", testSnapshot},
		{"many at once", testManyAtOnce}, {"cancellation", testCancellation}, {"nothing", testNothing},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(&fixture{T: t, store: open(t)}) })
	}
}

// fixture is a test with its store.
type fixture struct {
	*testing.T
	store service.Store
	made  uint64
}

// noon is an instant with microseconds.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// id makes ids that grow, of whatever they are the id.
func (f *fixture) id() consent.ID {
	f.made++
	id := consent.ID{0: 1, 6: 0x70, 8: 0x80}
	binary.BigEndian.PutUint32(id[12:], uint32(f.made))
	return id
}

func (f *fixture) append(c consent.Changes) {
	f.Helper()
	err := f.store.Update(context.Background(), consent.NoID,
		func(tx service.Tx) error { return tx.Append(context.Background(), &c) })
	if err != nil {
		f.Fatalf("append: %v", err)
	}
}

func (f *fixture) view(read func(ctx context.Context, r service.Reader) error) {
	f.Helper()
	if err := f.store.View(context.Background(), func(r service.Reader) error {
		return read(context.Background(), r)
	}); err != nil {
		f.Fatalf("view: %v", err)
	}
}

// same compares; nil and empty lists are the same, and so is one instant in two places.
func same(f *fixture, what string, got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(consent.Event{})); diff != "" {
		f.Errorf("%s (-want +got):\n%.4000s", what, diff)
	}
}

// odd are texts that engines like to change.
var odd = []string{"é𝄞 \u2028", "'; DROP TABLE events; --", "%_\\", " spaces ", "\U0010ffff", "Ünï CASE", "\t\n\"{}"}

func (f *fixture) newOrganization() consent.Organization {
	id := f.id()
	return consent.Organization{ID: id, Name: "Shop", Slug: "shop-" + id.String(), Status: "active", CreatedAt: noon,
		UpdatedAt: noon, Details: []byte(`{}`)}
}

func (f *fixture) newProject(o consent.ID, number int) consent.Project {
	return consent.Project{Organization: o, ID: f.id(), Number: number, Name: "Site", Slug: fmt.Sprint("site-", number),
		CreatedAt: noon, UpdatedAt: noon, Details: []byte(`{}`)}
}

// organization makes one with two projects.
func (f *fixture) organization() consent.ID {
	f.Helper()
	o := f.newOrganization()
	f.append(consent.Changes{Organizations: []consent.Organization{o},
		Projects: []consent.Project{f.newProject(o.ID, 1), f.newProject(o.ID, 2)},
		Heads:    []consent.Head{{Organization: o.ID}}})
	return o.ID
}

func (f *fixture) newSubject(o consent.ID) consent.Subject {
	return consent.Subject{Organization: o, ID: f.id(), Type: "user", CreatedAt: noon,
		Record: consent.Record{Version: 1, ChangedAt: noon, ChangedBy: f.id(), Data: []byte(`{}`)}}
}

// subject makes a subject that is known by some identifiers.
func (f *fixture) subject(o consent.ID, names ...consent.Identifier) consent.ID {
	f.Helper()
	s := f.newSubject(o)
	c := consent.Changes{Subjects: []consent.Subject{s}}
	for _, name := range names {
		c.Identifiers = append(c.Identifiers, owned(o, name, s.ID))
	}
	f.append(c)
	return s.ID
}

func owned(o consent.ID, name consent.Identifier, subject consent.ID) consent.OwnedIdentifier {
	return consent.OwnedIdentifier{OwnedName: consent.OwnedName{Organization: o, Identifier: name}, Subject: subject,
		Sealed: []byte("\xff\x00" + name.Value)}
}

// askedName gives a name as it is asked for, with the own id that it may be.
func askedName(o consent.ID, name consent.Identifier) consent.OwnedName {
	n := consent.OwnedName{Organization: o, Identifier: name}
	if name.Kind.OwnID() {
		n.Own, _ = consent.ParseID(name.Value)
	}
	return n
}

func named(kind consent.IdentifierKind, value string) consent.Identifier {
	return consent.Identifier{Kind: kind, Value: value}
}

func ownID(id consent.ID) consent.Identifier { return named(consent.AnonymousID, id.String()) }

// rounds gives how many of n to do: a fifth where tests are to be short, as under the race detector.
func rounds(n int) int {
	if testing.Short() {
		return max(n/5, 1)
	}
	return n
}

// owners asks who has each name.
func (f *fixture) owners(o consent.ID, names ...consent.Identifier) (owners []consent.ID) {
	f.Helper()
	list := make([]consent.OwnedName, len(names))
	for i, name := range names {
		list[i] = askedName(o, name)
	}
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		owners, err = r.Owners(ctx, list)
		return err
	})
	return owners
}
