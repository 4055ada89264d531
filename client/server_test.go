package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"slices"
	"testing"

	"github.com/consentd/consentd/client"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/server"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// shop is a whole server over a data folder, with an organization that has a key with all scopes. The examples and
// tests call it.
var shop struct {
	url, organization, key string
	options                server.Options
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "consentd-client")
	if err != nil {
		log.Fatal(err)
	}
	end, err := openShop(dir)
	code := 1
	if err == nil {
		code = m.Run()
		err = end()
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

func openShop(dir string) (end func() error, err error) {
	ctx := context.Background()
	engine, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	places, err := geo.New(geo.Options{})
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	s := store.CachePersons(store.New(engine), engine)
	svc := service.New(service.Options{Store: s, Keys: sealingtest.Ring(), Places: places, Log: quiet})
	svc.UseRootKey("root-key-for-tests-0123456789-abcdefgh")
	if err := addShop(ctx, svc); err != nil {
		return nil, err
	}
	shop.options = server.Options{Service: svc, Places: places, Log: quiet, PublicURL: "http://consentd.test"}
	listener := httptest.NewServer(server.New(shop.options))
	shop.url = listener.URL
	return func() error {
		listener.Close()
		svc.Close()
		return s.Close()
	}, nil
}

func addShop(ctx context.Context, svc *service.Service) error {
	root, err := svc.Authenticate(ctx, "root-key-for-tests-0123456789-abcdefgh")
	if err != nil {
		return err
	}
	made, err := svc.CreateOrganization(ctx, root, consent.NewOrganization{Name: "Shop", PrimaryDomain: "shop.example",
		Details: json.RawMessage(`{}`)}, consent.Idempotency{})
	if err != nil {
		return err
	}
	actor, err := root.In(made.ID)
	if err != nil {
		return err
	}
	key, err := svc.CreateKey(ctx, actor, consent.NewKey{Name: "all", Scopes: slices.Clone(consent.AllScopes)},
		consent.Idempotency{})
	shop.organization, shop.key = made.ID.String(), key.Text
	return err
}

// shopClient gives a client of the shop that tries each call once, unless more is said.
func shopClient(t testing.TB, change func(*client.Config)) *client.Client {
	t.Helper()
	config := client.Config{URL: shop.url, Organization: shop.organization, Key: shop.key, Tries: 1}
	if change != nil {
		change(&config)
	}
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
