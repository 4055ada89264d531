package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service"
)

// keyFileName is the name of the key file in the data folder.
const keyFileName = "kek"

// Why there are no keys to a store, beside faults of the store and of the file.
var (
	errNoKeyFileYet   = errors.New("it goes with no key file yet")
	errKeyFileUnnamed = errors.New("the data is in PostgreSQL: say with --kek-file (CONSENTD_KEK_FILE) where the file " +
		"of keys is or is to be made, on a disk that backups of the database do not hold; all servers of the database need " +
		"the same file")
)

// keyFileError is what is wrong with a key file, rather than with the store.
type keyFileError struct{ error }

func (e *keyFileError) Unwrap() error { return e.error }

// keyFilePath is where the key file is. Errors: errKeyFileUnnamed, as that of a command line.
func keyFilePath(cfg *config.Config) (string, error) {
	if cfg.KEKFile != "" {
		return cfg.KEKFile, nil
	}
	if cfg.Database != "" {
		return "", &exitError{exitUsage, errKeyFileUnnamed}
	}
	return filepath.Join(cfg.Data, keyFileName), nil
}

// keyFileSecret is the name under which a store keeps which key file it goes with.
const keyFileSecret = "key-file"

// openKeys reads the key file that the store goes with. A store that knows of none gets one, which is made where it is
// missing; else another file, or none, is refused: what is on record could not be read with it.
func openKeys(ctx context.Context, cfg *config.Config, s service.Store, log *slog.Logger) (*keyFile, error) {
	path, err := keyFilePath(cfg)
	if err != nil {
		return nil, err
	}
	known, err := knownKeyFile(ctx, s)
	if err != nil {
		return nil, err
	}
	if known == nil {
		file, err := makeKeys(ctx, s, path, log)
		return &keyFile{path: path, file: file}, err
	}
	return readKeys(path, known)
}

// knownKeyFile gives the fingerprint of the key file that a store goes with; nil: it knows of none.
func knownKeyFile(ctx context.Context, s service.Viewer) (known []byte, err error) {
	err = s.View(ctx, func(r service.Reader) (err error) {
		known, err = r.Secret(ctx, keyFileSecret)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look which key file the store goes with: %w", err)
	}
	return known, nil
}

// knownKeys reads the key file that a store goes with. Errors: errNoKeyFileYet, errKeyFileUnnamed, a *keyFileError, and
// those of the store.
func knownKeys(ctx context.Context, cfg *config.Config, s service.Viewer) (*keyFile, error) {
	known, err := knownKeyFile(ctx, s)
	if err != nil {
		return nil, err
	}
	if known == nil {
		return nil, errNoKeyFileYet
	}
	path, err := keyFilePath(cfg)
	if err != nil {
		return nil, err
	}
	return readKeys(path, known)
}

// readKeys reads the key file, which must be the one that a store knows of. Errors: a *keyFileError.
func readKeys(path string, known []byte) (*keyFile, error) {
	file, err := sealing.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; restore it from its copy, or name the copy with --kek-file: the store goes with that file, "+
			"and a new one could read nothing of it", err)
	}
	if err == nil {
		err = sameKeyFile(path, known, file)
	}
	if err != nil {
		return nil, &keyFileError{err}
	}
	return &keyFile{path: path, file: file}, nil
}

// keyFile is the key file of a process that goes on while others change it. It is used by one goroutine at a time.
type keyFile struct {
	path string
	file *sealing.File // as it was read last
	seen fs.FileInfo   // what told then that it was that one; nil: nobody looked
}

// reload implements service.ReloadKeys. A file that is another one, or an older copy, is refused: what is on record
// could not be read with it.
func (k *keyFile) reload(always bool) (ring *sealing.Ring, changed bool, err error) {
	info, err := os.Stat(k.path) // before it is read: a change after that is seen the next time
	if err != nil {
		return nil, false, fmt.Errorf("key file: %w", err)
	}
	if !always && k.seen != nil && os.SameFile(info, k.seen) && info.ModTime().Equal(k.seen.ModTime()) &&
		info.Size() == k.seen.Size() {
		return nil, false, nil
	}
	file, err := sealing.Load(k.path)
	if err != nil {
		return nil, false, err
	}
	if err := sameKeyFile(k.path, []byte(k.file.Fingerprint()), file); err != nil {
		return nil, false, err
	}
	had, has := kekIDs(k.file), kekIDs(file)
	if newest := k.file.Newest(); !slices.Contains(has, newest.ID) {
		return nil, false, fmt.Errorf("key file %s is an older copy: it lacks the key %s of %s, by which people's secrets "+
			"are encrypted since; put back the one that has it", k.path, newest.ID, newest.Created.Format(time.RFC3339))
	}
	k.file, k.seen = file, info
	if slices.Equal(had, has) {
		return nil, false, nil
	}
	return file.Ring(rand.Reader), true, nil
}

// count looks how many secrets each key wraps, and then at the file once more: that takes minutes, and a key that was
// added meanwhile wraps some of them. Errors: those of the store, and a *keyFileError beside what was counted.
func (k *keyFile) count(ctx context.Context, store service.Viewer, at func(service.KeyUse)) (service.KeyUse, error) {
	use, err := service.CountKeyUse(ctx, store, at)
	if err != nil {
		return use, err
	}
	if _, _, err := k.reload(true); err != nil {
		return use, &keyFileError{err}
	}
	return use, nil
}

// kekIDs names the keys of a file, the newest last.
func kekIDs(f *sealing.File) (ids []sealing.KEKID) {
	for _, k := range f.KEKs() {
		ids = append(ids, k.ID)
	}
	return ids
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
