// Package sealingtest knows the key file that tests share. Only tests import it.
package sealingtest

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/sealing"
)

// Ring gives the keys that all tests of a process share, made once.
var Ring = sync.OnceValue(func() *sealing.Ring { return file().Ring(rand.Reader) })

// SigningKey gives the key beside them that signs checkpoints.
func SigningKey() sealing.SigningKey {
	key, _ := file().SigningKey()
	return key
}

var file = sync.OnceValue(func() *sealing.File {
	dir, err := os.MkdirTemp("", "consentd-keys-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	made, _, err := sealing.Create(filepath.Join(dir, "kek"), rand.Reader, time.Now())
	if err != nil {
		panic(err)
	}
	return made
})

// Rotate adds a key to a key file, behind whichever is the newest.
func Rotate(path string, now time.Time) (*sealing.File, error) {
	f, err := sealing.Load(path)
	if err != nil {
		return nil, err
	}
	return sealing.RotateAfter(path, f.Newest().ID, rand.Reader, now)
}
