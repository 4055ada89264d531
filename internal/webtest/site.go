package webtest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/server"
	"github.com/consentd/consentd/internal/service"
)

// RootKey is the root key of every site of NewSite.
const RootKey = "root-key-for-tests-0123456789-abcdefgh"

// NewSite makes the whole server over a fresh store, with two organizations:
// {{root}}, {{org}}, {{project}}, {{key}} (all scopes), {{readkey}} (reads only),
// {{writekey}} (writes only), and {{otherorg}}, {{otherproject}}, {{otherkey}}.
// Over several stores of one database it makes a server on each, and every request goes to the next of them.
func NewSite(t *testing.T, stores ...service.Store) *Site {
	t.Helper()
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	site := &Site{Vars: map[string]string{"root": RootKey}}
	log := slog.New(slog.DiscardHandler)
	var servers roundRobin
	for i, s := range stores {
		svc := service.New(service.Options{Store: s, Keys: sealingtest.Ring(), SigningKey: sealingtest.SigningKey(),
			Places: places, Log: log})
		t.Cleanup(svc.Close)
		svc.UseRootKey(RootKey)
		servers.all = append(servers.all, server.New(server.Options{Service: svc, Places: places, Log: log,
			PublicURL: "http://consentd.test", CORSOrigins: []string{"https://shop.example"}}))
		if i == 0 {
			site.addOrganizations(t, svc)
		}
	}
	site.Handler = servers.all[0]
	if len(stores) > 1 {
		site.Handler = &servers
	}
	site.documented = true
	handler := site.Handler
	site.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/keys") {
			time.Sleep(time.Millisecond) // the ids of keys are in the order of making where their milliseconds differ
		}
		handler.ServeHTTP(w, r)
	})
	return site
}

// roundRobin hands each request to the next server.
type roundRobin struct {
	all      []http.Handler
	requests atomic.Int64
}

// keyCache is how long another server may take a key that was revoked.
const keyCache = 1100 * time.Millisecond

// ServeHTTP implements http.Handler. A revocation is answered when every server must know of it.
func (s *roundRobin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.all[int(s.requests.Add(1))%len(s.all)].ServeHTTP(w, r)
	if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/keys/") {
		time.Sleep(keyCache)
	}
}

// addOrganizations makes the organizations and keys over the service itself.
func (s *Site) addOrganizations(t *testing.T, svc *service.Service) {
	t.Helper()
	ctx := context.Background()
	root, err := svc.Authenticate(ctx, RootKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "other"} {
		view, err := svc.CreateOrganization(ctx, root, consent.NewOrganization{Name: prefix + "Test Shop",
			PrimaryDomain: "shop.example", Details: json.RawMessage(`{}`)}, consent.Idempotency{})
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
			key, err := svc.CreateKey(ctx, actor, consent.NewKey{Name: name, Scopes: slices.Clone(scopes)},
				consent.Idempotency{})
			if err != nil {
				t.Fatal(err)
			}
			s.Vars[prefix+name] = key.Text
			s.Vars[prefix+name+"id"] = key.ID.String()
		}
	}
}
