package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/service"
)

func (f *fixture) catalog(o consent.ID) (d *consent.Catalog) {
	f.Helper()
	f.view(func(ctx context.Context, r service.Reader) (err error) {
		d, err = r.Catalog(ctx, o)
		return err
	})
	return d
}

func testOrganizations(f *fixture) {
	o := f.newOrganization()
	o.Name, o.PrimaryDomain, o.Status, o.Test = odd[0], "shop.example", "active", true
	o.CreatedAt, o.UpdatedAt = noon.Add(time.Microsecond), noon.AddDate(1, 0, 0)
	o.Details = []byte(`{ "kept" : 1.00 }`)
	full := consent.Purpose{Organization: o.ID, Project: 1, Number: 1, ID: f.id(), Key: odd[1],
		Taxonomy: consent.Taxonomy{Category: "c", Subcategory: "s", Label: "*"}, Version: 7, Name: odd[2],
		Description: odd[3], URL: "https://x", LegalBasis: consent.BasisContract, HeldFrom: noon, Revision: 9,
		DocumentHash: []byte{0, 1, 255}, TextsHash: []byte{0, 2}, ReadOnly: true,
		ValidStates: []consent.State{consent.Viewed, consent.Accepted}, Status: "test",
		Duration: "P1Y2M", Required: true, RequireReaccept: true, CreatedAt: noon, UpdatedAt: noon.Add(time.Hour)}
	bare := consent.Purpose{Organization: o.ID, Project: 2, Number: 1, ID: f.id(), Key: odd[1],
		Taxonomy: full.Taxonomy, HeldFrom: noon, CreatedAt: noon, UpdatedAt: noon}
	second, first := f.newProject(o.ID, 2), f.newProject(o.ID, 1)
	first.WholeAddress, first.Details = true, []byte(`{"a":"é"}`)
	f.append(consent.Changes{Organizations: []consent.Organization{o}, Projects: []consent.Project{second, first},
		Purposes: []consent.Purpose{bare, full}})
	same(f, "catalog", f.catalog(o.ID), &consent.Catalog{Organization: o,
		Projects: []consent.Project{first, second}, Purposes: []consent.Purpose{full, bare}})
	if d := f.catalog(f.id()); d != nil {
		f.Errorf("an unknown organization has a catalog: %+v", d)
	}
	f.view(func(ctx context.Context, r service.Reader) error {
		for slug, want := range map[string]bool{o.Slug: true, strings.ToUpper(o.Slug): false, "": false} {
			taken, err := r.SlugTaken(ctx, slug)
			if err != nil || taken != want {
				f.Errorf("slug %q is taken: %t, %v", slug, taken, err)
			}
		}
		return nil
	})
	clash := f.newOrganization()
	clash.Slug = o.Slug
	f.refuses("a slug twice", consent.Changes{Organizations: []consent.Organization{clash}})
	f.refuses("a project number twice", consent.Changes{Projects: []consent.Project{f.newProject(o.ID, 2)}})
	f.refuses("a project of nobody", consent.Changes{Projects: []consent.Project{f.newProject(f.id(), 1)}})
	again := full
	again.Number, again.ID, again.Taxonomy.Label = 2, f.id(), "other"
	f.refuses("a purpose's key twice", consent.Changes{Purposes: []consent.Purpose{again}})
	again.Key, again.Taxonomy.Label = "other", "*"
	f.refuses("a taxonomy twice", consent.Changes{Purposes: []consent.Purpose{again}})
	if d := f.catalog(clash.ID); d != nil {
		f.Error("what was refused is there")
	}
}

// testPurposeVersions changes purposes, two of them at once, and reads their versions.
func testPurposeVersions(f *fixture) {
	o := f.newOrganization()
	var purposes []consent.Purpose
	for i := range 4 {
		purposes = append(purposes, consent.Purpose{Organization: o.ID, Project: 1 + i/2, Number: 1 + i%2, ID: f.id(),
			Key: odd[i], Taxonomy: consent.Taxonomy{Category: fmt.Sprint(i)}, Version: 1, Name: odd[0], Revision: 1,
			RequireReaccept: i == 0, HeldFrom: noon, CreatedAt: noon, UpdatedAt: noon})
	}
	f.append(consent.Changes{Organizations: []consent.Organization{o}, Purposes: purposes,
		Projects: []consent.Project{f.newProject(o.ID, 1), f.newProject(o.ID, 2)}})
	var versions []consent.PurposeVersion
	change := func(after time.Duration, which ...int) {
		var c consent.Changes
		for _, i := range which {
			p := &purposes[i]
			ends := p.CurrentVersion()
			c.PurposeVersions = append(c.PurposeVersions, ends)
			if i == 1 {
				versions = append(versions, ends)
			}
			p.Earlier = append(p.Earlier, ends.Version)
			p.Version, p.Revision, p.HeldFrom, p.UpdatedAt = p.Version+1, p.Revision+1, noon.Add(after), noon.Add(2*after)
			p.Name, p.Description, p.URL = odd[p.Version%len(odd)], odd[i], "https://x"
			p.LegalBasis, p.DocumentHash, p.TextsHash = consent.BasisPublicTask, []byte{1, 255}, []byte{2, byte(p.Version)}
			p.Status, p.Duration, p.Required, p.RequireReaccept = "test", "P1D", i == 1, p.Version == 2
			p.Taxonomy = consent.Taxonomy{Category: fmt.Sprint(i), Subcategory: "s", Label: fmt.Sprint("l", p.Version)}
			c.ChangedPurposes = append(c.ChangedPurposes, *p)
		}
		f.append(c)
	}
	change(time.Microsecond, 1)
	change(time.Hour, 0, 1, 3)
	change(2*time.Hour, 1)
	same(f, "the changed purposes", f.catalog(o.ID).Purposes, purposes)
	list := func(of consent.PurposeKey, after, limit int) (got []consent.PurposeVersion) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.PurposeVersions(ctx, of, after, limit)
			return err
		})
		return got
	}
	of := consent.PurposeKey{Organization: o.ID, Project: 1, Purpose: 2}
	same(f, "all versions", list(of, 0, 10), versions)
	same(f, "one version", list(of, 1, 1), versions[1:2])
	same(f, "after the last", list(of, 3, 10), []consent.PurposeVersion{})
	elsewhere := consent.PurposeKey{Organization: f.organization(), Project: 1, Purpose: 2}
	f.view(func(ctx context.Context, r service.Reader) error {
		got, err := r.NamedVersions(ctx, []consent.VersionKey{{PurposeKey: of, Version: 3}, {PurposeKey: of, Version: 4},
			{PurposeKey: elsewhere, Version: 1}, {PurposeKey: of, Version: 1}, {PurposeKey: of, Version: 3}})
		same(f, "versions by name", got, []consent.PurposeVersion{versions[2], {}, {}, versions[0], versions[2]})
		if none, failed := r.NamedVersions(ctx, nil); len(none) > 0 || failed != nil {
			f.Errorf("no versions by name: %v, %v", none, failed)
		}
		return err
	})
	of.Organization = elsewhere.Organization
	same(f, "another's", list(of, 0, 10), []consent.PurposeVersion{})
	f.refuses("a version twice", consent.Changes{PurposeVersions: versions[:1]})
	orphan := versions[0]
	orphan.Purpose = 9
	f.refuses("a version of no purpose", consent.Changes{PurposeVersions: []consent.PurposeVersion{orphan}})
	clash := purposes[0]
	clash.Taxonomy = purposes[1].Taxonomy
	f.refuses("a taxonomy of another", consent.Changes{ChangedPurposes: []consent.Purpose{clash}})
}

// refuses checks that an Append fails and leaves nothing: the next one works.
func (f *fixture) refuses(what string, c consent.Changes) {
	f.Helper()
	err := f.store.Update(context.Background(), consent.NoID,
		func(tx service.Tx) error { return tx.Append(context.Background(), &c) })
	if err == nil {
		f.Errorf("%s is taken", what)
	}
}

func testOrganizationList(f *fixture) {
	var all []consent.OrganizationView
	for i := range 7 {
		o := f.newOrganization()
		o.Name, o.PrimaryDomain, o.Status = fmt.Sprint("Shop ", i%3), fmt.Sprint("d", i%2, ".example"),
			[]string{"active", "archived"}[i/5]
		projects := []consent.Project{f.newProject(o.ID, 1), f.newProject(o.ID, 2)}[:1+i%2]
		f.append(consent.Changes{Organizations: []consent.Organization{o}, Projects: projects})
		all = append(all, consent.OrganizationView{Organization: o, Projects: projects})
	}
	any := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	for _, filter := range []consent.OrganizationFilter{
		{Limit: 100}, {Limit: 3}, {Limit: 3, Offset: 3}, {Limit: 3, Offset: 6}, {Limit: 3, Offset: 60},
		{Names: []string{"Shop 1"}, Limit: 100}, {Names: []string{"Shop 1", "Shop 2"}, PrimaryDomains: []string{"d1.example"},
			Limit: 100},
		{Statuses: []string{"archived"}, Limit: 1}, {Names: []string{"shop 1"}, Limit: 100},
		{Names: []string{"Shop%"}, Limit: 100},
	} {
		for _, only := range []consent.ID{consent.NoID, all[2].ID, f.id()} {
			want := []consent.OrganizationView{}
			for _, v := range all {
				if (only == consent.NoID || only == v.ID) && any(filter.Names, v.Name) &&
					any(filter.PrimaryDomains, v.PrimaryDomain) && any(filter.Statuses, v.Status) {
					want = append(want, v)
				}
			}
			f.view(func(ctx context.Context, r service.Reader) error {
				got, total, err := r.Organizations(ctx, only, filter)
				if total != int64(len(want)) {
					f.Errorf("%+v: total %d of %d", filter, total, len(want))
				}
				same(f, fmt.Sprintf("%+v of %s", filter, only), got, page(want, filter.Offset, filter.Limit))
				return err
			})
		}
	}
}

func page[T any](list []T, offset, limit int) []T {
	from := min(offset, len(list))
	return list[from:min(from+limit, len(list))]
}

func testKeys(f *fixture) {
	a, b := f.organization(), f.organization()
	var keys []consent.Key
	for i := range 5 {
		k := consent.Key{Organization: a, ID: f.id(), Name: odd[i],
			Scopes:     []consent.Scope{consent.ConsentsRead, consent.LedgerRead}[:1+i%2],
			SecretHash: [32]byte{0: byte(i), 31: 255}, CreatedAt: noon}
		if i == 3 {
			k.ExpiresAt, k.RevokedAt = noon.Add(time.Hour), noon.Add(time.Minute)
		}
		keys = append(keys, k)
	}
	other := consent.Key{Organization: b, ID: keys[0].ID, Name: "same id", Scopes: []consent.Scope{consent.LedgerRead},
		CreatedAt: noon}
	f.append(consent.Changes{Keys: append([]consent.Key{other}, keys...)})
	key := func(o, id consent.ID) (k *consent.Key) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			k, err = r.Key(ctx, o, id)
			return err
		})
		return k
	}
	for i := range keys {
		same(f, "key", key(a, keys[i].ID), &keys[i])
	}
	same(f, "the other's key of that id", key(b, keys[0].ID), &other)
	if k := key(b, keys[1].ID); k != nil {
		f.Errorf("another's key: %+v", k)
	}
	list := func(o, after consent.ID, limit int) (got []consent.Key) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			got, err = r.Keys(ctx, o, after, limit)
			return err
		})
		return got
	}
	same(f, "all keys", list(a, consent.NoID, 100), keys)
	same(f, "two keys", list(a, consent.NoID, 2), keys[:2])
	same(f, "the next two", list(a, keys[1].ID, 2), keys[2:4])
	same(f, "after the last", list(a, keys[4].ID, 2), []consent.Key{})
	keys[1].RevokedAt = noon.Add(time.Second)
	f.append(consent.Changes{Keys: keys[1:2]})
	same(f, "revoked", key(a, keys[1].ID), &keys[1])
	testRootKeys(f, key)
}

func testRootKeys(f *fixture, key func(o, id consent.ID) *consent.Key) {
	if k := key(consent.NoID, consent.NoID); k != nil {
		f.Errorf("a root key from nowhere: %+v", k)
	}
	root := consent.Key{ID: f.id(), Name: "root", CreatedAt: noon}
	f.append(consent.Changes{Keys: []consent.Key{root}})
	same(f, "root key", key(consent.NoID, consent.NoID), &root)
	same(f, "root key by id", key(consent.NoID, root.ID), &root)
	next := consent.Key{ID: f.id(), Name: "root", CreatedAt: noon}
	root.RevokedAt = noon
	f.append(consent.Changes{Keys: []consent.Key{root, next}})
	same(f, "root key after its rotation", key(consent.NoID, consent.NoID), &next)
	same(f, "the old root key by id", key(consent.NoID, root.ID), &root)
}

func testSecrets(f *fixture) {
	secret := func(name string) (value []byte) {
		f.view(func(ctx context.Context, r service.Reader) (err error) {
			value, err = r.Secret(ctx, name)
			return err
		})
		return value
	}
	if secret("a") != nil {
		f.Error("a secret that nobody made")
	}
	f.append(consent.Changes{Secrets: []consent.Secret{{Name: "a", Value: []byte{0, 255, 0}},
		{Name: odd[0], Value: []byte("x")}}})
	same(f, "secret", secret("a"), []byte{0, 255, 0})
	same(f, "secret", secret(odd[0]), []byte("x"))
	f.refuses("a secret twice", consent.Changes{Secrets: []consent.Secret{{Name: "a", Value: []byte("y")}}})
	same(f, "secret", secret("a"), []byte{0, 255, 0})
}
