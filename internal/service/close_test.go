package service_test

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

// TestCloseDoesNotWaitForTheKeyFile: a service ends though a look at the file hangs.
func TestCloseDoesNotWaitForTheKeyFile(t *testing.T) {
	hangs, began := make(chan struct{}), make(chan struct{})
	looks := sync.OnceFunc(func() { close(began) })
	h := newHarness(t)
	s := service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), Log: slog.New(slog.DiscardHandler),
		ReloadKeys: func(bool) (*sealing.Ring, bool, error) {
			looks()
			<-hangs
			return nil, false, nil
		}})
	defer close(hangs)
	<-began
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("Close waits for the key file")
	}
}
