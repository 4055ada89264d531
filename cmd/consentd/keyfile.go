package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
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
	if known == nil {
		return makeKeys(ctx, s, path, log)
	}
	file, err := sealing.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; restore it from its copy, or name the copy with --kek-file: the store goes with that file, "+
			"and a new one could read nothing of it", err)
	}
	if err != nil {
		return nil, err
	}
	return file, sameKeyFile(path, known, file)
}

// makeKeys reads the key file, or makes it, for a store that knows of none, and notes there that they go together.
// Another server may do so at once: the first one wins.
func makeKeys(ctx context.Context, s service.Store, path string, log *slog.Logger) (*sealing.File, error) {
	file, made, err := sealing.Create(path, rand.Reader, time.Now())
	if err != nil {
		return nil, err
	}
	if made {
		log.Warn("made a file of keys: keep a copy of it apart from backups, from which no server starts without it",
			"path", path)
	}
	return file, s.Update(ctx, consent.NoID, func(tx service.Tx) error {
		known, err := tx.Secret(ctx, keyFileSecret)
		if err != nil {
			return err
		}
		if known != nil {
			return sameKeyFile(path, known, file)
		}
		return tx.Append(ctx, &consent.Changes{Secrets: []consent.Secret{{Name: keyFileSecret,
			Value: []byte(file.Fingerprint())}}})
	})
}

// sameKeyFile refuses a key file that is not the one that a store knows of.
func sameKeyFile(path string, known []byte, file *sealing.File) error {
	if string(known) == file.Fingerprint() {
		return nil
	}
	return fmt.Errorf("key file %s (%s) is not the one that this store goes with (%s): restore that one, or name it with "+
		"--kek-file", path, file.Fingerprint(), known)
}
