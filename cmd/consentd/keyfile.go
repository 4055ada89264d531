package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service"
)

// keyFileName is the name of the key file in the data folder.
const keyFileName = "kek"

// keyFilePath is where the key file is. Errors: that of a command line, where nobody said so.
func keyFilePath(cfg *config.Config) (string, error) {
	if cfg.KEKFile != "" {
		return cfg.KEKFile, nil
	}
	if cfg.Database != "" {
		return "", &exitError{exitUsage, errors.New("the data is in PostgreSQL: say with --kek-file (CONSENTD_KEK_FILE) " +
			"where the file of keys is or is to be made, on a disk that backups of the database do not hold; all servers " +
			"of the database need the same file")}
	}
	return filepath.Join(cfg.Data, keyFileName), nil
}

// keyFileSecret is the name under which a store keeps which key file it goes with.
const keyFileSecret = "key-file"

// openKeys reads the key file that the store goes with. A store that knows of none gets one, which is made where it is
// missing; else another file, or none, is refused: what is on record could not be read with it.
func openKeys(ctx context.Context, cfg *config.Config, s service.Store, log *slog.Logger) (*sealing.File, error) {
	path, err := keyFilePath(cfg)
	if err != nil {
		return nil, err
	}
	var known []byte
	err = s.View(ctx, func(r service.Reader) (err error) {
		known, err = r.Secret(ctx, keyFileSecret)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look which key file the store goes with: %w", err)
	}
	var file *sealing.File
	made := false
	if known != nil {
		file, err = sealing.Load(path)
	} else {
		file, made, err = sealing.Create(path, rand.Reader, time.Now())
	}
	if err != nil {
		return nil, fmt.Errorf("%w; the store goes with a file that must be restored where it is lost", err)
	}
	if made {
		log.Warn("made a file of keys: keep a copy of it apart from backups of the data, which are worth nothing without",
			"path", path)
	}
	return file, bindKeyFile(ctx, s, path, []byte(file.Fingerprint()))
}

// bindKeyFile notes which key file a store goes with, unless that is known, and refuses another one.
func bindKeyFile(ctx context.Context, s service.Store, path string, fingerprint []byte) error {
	return s.Update(ctx, consent.NoID, func(tx service.Tx) error {
		known, err := tx.Secret(ctx, keyFileSecret)
		if err != nil {
			return err
		}
		if known == nil {
			return tx.Append(ctx, &consent.Changes{Secrets: []consent.Secret{{Name: keyFileSecret, Value: fingerprint}}})
		}
		if !bytes.Equal(known, fingerprint) {
			return fmt.Errorf("key file %s (%s) is not the one that this store goes with (%s): restore that one, or name it "+
				"with --kek-file", path, fingerprint, known)
		}
		return nil
	})
}
