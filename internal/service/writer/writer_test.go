package writer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

// These tests are about which writes share a transaction. The transactions themselves are refused after a
// millisecond; what batches do with a real store is tested in package service.

var errRefused = &consent.Error{Kind: consent.Unavailable, Msg: "refused"}

const commitTime = time.Millisecond

// refusing makes a writer whose commits take a while and do nothing.
func refusing(o Options) (w *Writer, sizes func() []int) {
	var mu sync.Mutex
	var all []int
	o.Commit = func(context.Context, consent.ID, func(Tx) error) error {
		time.Sleep(commitTime)
		return errRefused
	}
	o.Observe = func(requests int, _ time.Duration, _ error) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, requests)
	}
	return New(o), func() []int {
		synctest.Wait() // whoever waits for a write may have its answer before it is observed
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

func write(organization consent.ID, key string) *consent.Prepared {
	return &consent.Prepared{Actor: consent.Actor{Organization: organization}, Decisions: 1,
		Idempotency: consent.Idempotency{Key: key}}
}

func TestGroupSharesTheNextCommitToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sizes := refusing(Options{AcrossTenants: true})
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				for range 20 { // each comes back some moments after its answer, one behind the other
					_, _ = w.Write(context.Background(), write(consent.NoID, ""))
					time.Sleep(time.Duration(i+1) * 50 * time.Microsecond)
				}
			})
		}
		clients.Wait()
		w.Close()
		// 8 clients with 20 writes each: alone they would make up to 160 batches. The last takes what is left.
		if got := sizes(); len(got) > 45 || slices.Min(got[2:len(got)-1]) < 3 {
			t.Errorf("%d batches of %v", len(got), got)
		}
	})
}

func TestLoneWriteWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sizes := refusing(Options{AcrossTenants: true})
		began := time.Now()
		for range 10 {
			if _, err := w.Write(context.Background(), write(consent.NoID, "")); !errors.Is(err, errRefused) {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 10*commitTime || len(sizes()) != 10 {
			t.Errorf("10 writes took %s in batches of %v", took, sizes())
		}
		w.Close()
		if len(w.queues) != 0 {
			t.Error("a queue is left")
		}
	})
}

func TestRetryNeverSharesABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sizes := refusing(Options{AcrossTenants: true})
		var clients sync.WaitGroup
		send := func(key string) {
			clients.Go(func() { _, _ = w.Write(context.Background(), write(consent.NoID, key)) })
			synctest.Wait()
		}
		send("") // while this one is committed, the others wait
		for _, key := range []string{"a", "b", "a", "", "b", "b"} {
			send(key)
		}
		clients.Wait()
		if got := sizes(); !slices.Equal(got, []int{1, 2, 3, 1}) {
			t.Errorf("batches of %v", got)
		}
		w.Close()
	})
}

func TestTenantsHaveQueuesOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sizes := refusing(Options{})
		var clients sync.WaitGroup
		began := time.Now()
		for i := range 5 {
			clients.Go(func() { _, _ = w.Write(context.Background(), write(consent.ID{byte(i)}, "")) })
		}
		clients.Wait()
		if took := time.Since(began); took != commitTime || !slices.Equal(sizes(), []int{1, 1, 1, 1, 1}) {
			t.Errorf("writes of 5 tenants took %s in batches of %v", took, sizes())
		}
		w.Close()
	})
}

// TestFullQueueIsItsTenantsOwn: where an organization's database does not answer, as many as may wait do, one more is
// refused when its time is over, and another organization is written at once.
func TestFullQueueIsItsTenantsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, living := consent.ID{1}, consent.ID{2}
		w := New(Options{Now: time.Now, Commit: func(_ context.Context, of consent.ID, _ func(Tx) error) error {
			if of == dead {
				time.Sleep(time.Hour)
			}
			return errRefused
		}})
		within, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var clients sync.WaitGroup
		for range queueLength + batchRequests + 1 {
			clients.Go(func() {
				if _, err := w.Write(within, write(dead, "")); !consent.IsKind(err, consent.Unavailable) {
					t.Errorf("a write that nobody could take: %v", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if _, err := w.Write(within, write(living, "")); !errors.Is(err, errRefused) || time.Since(began) > 0 {
			t.Errorf("another organization's write: %v after %s", err, time.Since(began))
		}
		clients.Wait()
		w.Close()
	})
}

func TestCloseWritesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sizes := refusing(Options{AcrossTenants: true})
		var clients sync.WaitGroup
		for range 3 {
			clients.Go(func() {
				if _, err := w.Write(context.Background(), write(consent.NoID, "")); !errors.Is(err, errRefused) {
					t.Errorf("a write that waited ended with %v", err)
				}
			})
			synctest.Wait()
		}
		w.Close()
		clients.Wait()
		if got := sizes(); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("batches of %v", got)
		}
		_, err := w.Write(context.Background(), write(consent.NoID, ""))
		if !consent.IsKind(err, consent.Unavailable) || errors.Is(err, errRefused) || !w.Closed() {
			t.Errorf("a write after the end gives %v", err)
		}
		w.Close()
	})
}

func TestWhoLeftIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sizes := refusing(Options{AcrossTenants: true})
		ctx, cancel := context.WithCancel(context.Background())
		var clients sync.WaitGroup
		clients.Go(func() { _, _ = w.Write(context.Background(), write(consent.NoID, "")) })
		synctest.Wait()
		clients.Go(func() {
			if _, err := w.Write(ctx, write(consent.NoID, "")); !consent.IsKind(err, consent.Unavailable) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		clients.Wait()
		w.Close()
		if got := sizes(); !slices.Equal(got, []int{1}) {
			t.Errorf("batches of %v", got)
		}
	})
}
