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
var Ring = sync.OnceValue(func() *sealing.Ring {
	dir, err := os.MkdirTemp("", "consentd-keys-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	file, _, err := sealing.Create(filepath.Join(dir, "kek"), rand.Reader, time.Now())
	if err != nil {
		panic(err)
	}
	return file.Ring(rand.Reader)
})
