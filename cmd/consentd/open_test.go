package main

import (
	"context"
	"log/slog"
	"testing"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/store"
)

// TestPersonCacheSwitch: a server on a data folder has the cache of persons, unless it is switched off; a tool has
// none.
func TestPersonCacheSwitch(t *testing.T) {
	for _, tc := range []struct {
		name            string
		setting         string
		serving, cached bool
	}{{"a server", "on", true, true}, {"switched off", "off", true, false}, {"a tool", "on", false, false}} {
		cfg, err := config.Load(map[string]string{"data": t.TempDir(), "person-cache": tc.setting}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := openStore(context.Background(), cfg, slog.New(slog.DiscardHandler), tc.serving)
		if err != nil {
			t.Fatal(err)
		}
		if _, plain := s.Store.(*store.Store); plain == tc.cached {
			t.Errorf("%s: cached is %t", tc.name, !plain)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
