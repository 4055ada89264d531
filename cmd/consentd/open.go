package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/store"
)

// openStore opens the store that the configuration names: PostgreSQL, or SQLite in the data folder. serving is for
// the server; a tool beside one changes nothing on its own account.
func openStore(ctx context.Context, cfg *config.Config, log *slog.Logger, serving bool) (*store.Store, error) {
	if cfg.Database != "" {
		s, err := store.OpenPostgres(ctx, postgresOptions(cfg, log, serving))
		if err != nil {
			return nil, fmt.Errorf("database %s: %w", cfg.Place(), err)
		}
		return s, nil
	}
	s, err := store.OpenSQLite(ctx, cfg.Data, store.SQLiteOptions{Exclusive: serving, Log: log})
	if errors.Is(err, store.ErrLocked) {
		return nil, &exitError{exitLocked, fmt.Errorf("data folder %s: %w", cfg.Data, err)}
	}
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w; consentd doctor --data %s tells more", cfg.Data, err, cfg.Data)
	}
	return s, nil
}

// otherServer gives an error where a server runs on the data folder: who starts the same command twice finds the
// address taken, but a server on another address would be of no use.
func otherServer(cfg *config.Config) error {
	if cfg.Database != "" {
		return nil
	}
	if on, err := store.ServerOn(cfg.Data); err != nil || !on {
		return nil // the address is what is known to be wrong
	}
	return &exitError{exitLocked, fmt.Errorf("data folder %s: %w: stop it first, or give this one another folder with "+
		"--data and another address with --listen",
		cfg.Data, store.ErrLocked)}
}

func postgresOptions(cfg *config.Config, log *slog.Logger, serving bool) store.PostgresOptions {
	return store.PostgresOptions{URL: cfg.Database, AdminURL: cfg.AdminDatabase, MaxConns: cfg.DatabaseConnections,
		Retention: cfg.Retention, Log: log, Beside: !serving}
}
