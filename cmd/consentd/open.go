package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store"
	"github.com/consentd/consentd/internal/store/engine"
	"github.com/consentd/consentd/internal/store/postgres"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// openedStore is a store with what its engine has to say for metrics.
type openedStore struct {
	service.Store
	figures  func() []engine.Figure
	nodeDown func(error) bool // an error says that a part of the store cannot be reached, while others can
}

// openStore opens the store that the configuration names: PostgreSQL, or SQLite in the data folder. serving is for
// the server; a tool beside one changes nothing on its own account.
func openStore(ctx context.Context, cfg *config.Config, log *slog.Logger, serving bool) (*openedStore, error) {
	if cfg.Database != "" {
		e, err := postgres.Open(ctx, postgresOptions(cfg, log, serving))
		if err != nil {
			return nil, fmt.Errorf("database %s: %w", cfg.Place(), err)
		}
		return &openedStore{store.BatchPersons(store.New(e)), e.Figures, e.NodeDown}, nil
	}
	e, err := sqlite.Open(ctx, cfg.Data, sqlite.Options{Exclusive: serving, Log: log})
	if errors.Is(err, sqlite.ErrLocked) {
		return nil, &exitError{exitLocked, fmt.Errorf("data folder %s: %w", cfg.Data, err)}
	}
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w; consentd doctor --data %s tells more", cfg.Data, err, cfg.Data)
	}
	s := service.Store(store.New(e))
	if serving && cfg.PersonCache {
		s = store.CachePersons(s, e)
	}
	return &openedStore{s, func() []engine.Figure { return nil }, func(error) bool { return false }}, nil
}

// otherServer says whether a server runs on the data folder: who starts the same command twice finds the address taken,
// but a server on another address would be of no use.
func otherServer(cfg *config.Config) error {
	if cfg.Database != "" {
		return nil
	}
	if on, err := sqlite.ServerOn(cfg.Data); err != nil || !on {
		return nil // the address is what is known to be wrong
	}
	return &exitError{exitLocked, fmt.Errorf("data folder %s: %w: stop it first, or give this one another folder with "+
		"--data and another address with --listen", cfg.Data, sqlite.ErrLocked)}
}

func postgresOptions(cfg *config.Config, log *slog.Logger, serving bool) postgres.Options {
	return postgres.Options{URL: cfg.Database, AdminURL: cfg.AdminDatabase, MaxConns: cfg.DatabaseConnections,
		Retention: cfg.Retention, Log: log, Tool: !serving}
}
