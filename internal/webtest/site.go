package webtest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/server"
	"github.com/consentd/consentd/internal/store"
)

// RootKey is the root key of every site of NewSite.
const RootKey = "root-key-for-tests-0123456789-abcdefgh"

// NewSite makes the whole server over a fresh store, with two organizations:
// {{root}}, {{org}}, {{project}}, {{key}} (all scopes), {{readkey}} (reads only),
// {{writekey}} (writes only), and {{otherorg}}, {{otherproject}}, {{otherkey}}.
func NewSite(t *testing.T) *Site {
	t.Helper()
	return NewSiteOn(t, OpenSQLite(t), SiteOptions{})
}

// SiteOptions change what NewSiteOn makes.
type SiteOptions struct {
	Service func(*consent.Options)
	Server  func(*server.Options)
}

// OpenSQLite opens a fresh SQLite store that ends with the test.
func OpenSQLite(t testing.TB) consent.Store {
	t.Helper()
	s, err := store.OpenSQLite(context.Background(), t.TempDir(), store.SQLiteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// NewSiteOn is NewSite over a given store.
func NewSiteOn(t *testing.T, s consent.Store, o SiteOptions) *Site {
	t.Helper()
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	serviceOptions := consent.Options{Store: s, Places: places, Log: log}
	if o.Service != nil {
		o.Service(&serviceOptions)
	}
	svc := consent.New(serviceOptions)
	t.Cleanup(svc.Close)
	svc.UseRootKey(RootKey)
	serverOptions := server.Options{Service: svc, Places: places, Log: log, PublicURL: "http://consentd.test",
		CORSOrigins: []string{"https://shop.example"}}
	if o.Server != nil {
		o.Server(&serverOptions)
	}
	site := &Site{Handler: server.New(serverOptions), Vars: map[string]string{"root": RootKey}}
	site.furnish(t, svc)
	return site
}

// furnish makes the organizations and keys over the service itself.
func (s *Site) furnish(t *testing.T, svc *consent.Service) {
	t.Helper()
	ctx := context.Background()
	root, err := svc.Authenticate(ctx, RootKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "other"} {
		view, err := svc.CreateOrganization(ctx, root, consent.NewOrganization{Name: prefix + "Test Shop",
			PrimaryDomain: "shop.example", Details: json.RawMessage(`{}`)}, consent.Once{})
		if err != nil {
			t.Fatal(err)
		}
		actor, err := root.In(view.ID)
		if err != nil {
			t.Fatal(err)
		}
		s.Vars[prefix+"org"], s.Vars[prefix+"project"] = view.ID.String(), view.Projects[0].ID.String()
		for name, scopes := range map[string][]consent.Scope{
			"key":      consent.AllScopes,
			"readkey":  {consent.OrganizationsRead, consent.ConsentsRead, consent.SubjectsRead},
			"writekey": {consent.OrganizationsWrite, consent.ConsentsWrite, consent.SubjectsWrite},
		} {
			key, err := svc.CreateKey(ctx, actor, consent.NewKey{Name: name, Scopes: append([]consent.Scope(nil), scopes...)}, consent.Once{})
			if err != nil {
				t.Fatal(err)
			}
			s.Vars[prefix+name] = key.Text
			s.Vars[prefix+name+"id"] = key.ID.String()
		}
	}
}

var _ http.Handler = (*server.Server)(nil)
