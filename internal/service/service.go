// Package service knows the use cases that every protocol calls, who may call them, and what it asks of a store. It
// decides nothing itself: the rules are package consent's. It knows nothing of HTTP, of SQL, or of any protocol's
// words.
package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/jobs"
	"github.com/consentd/consentd/internal/limit"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service/idempotency"
	"github.com/consentd/consentd/internal/service/writer"
	"github.com/consentd/consentd/internal/webhook"
	"github.com/consentd/consentd/internal/witness"
)

// Service is what every protocol calls. Its methods check the actor's scopes,
// may be called at once from many goroutines, and return *consent.Error (or
// *consent.Replayed, see consent.Idempotency); the contexts carry a deadline and nothing else.
type Service struct {
	unreadable func(rows int)
	store      Store
	places     consent.Places
	clock      func() time.Time
	random     io.Reader
	log        *slog.Logger
	cache      cache
	root       configuredRoot
	writer     *writer.Writer
	watchdog   commitWatchdog
	secrets    *secrets
	keys       *vault
	signer     *signer
	// witnesses cosign what signer signs.
	witnesses *witnesses
	journal   journaled
	// webhookAllow are addresses of webhooks that are not public; wakeFeeds has those told who wait.
	webhookAllow []netip.Prefix
	wakeFeeds    func()
	feeds        *feeds
	sender       *webhook.Client
	message      func(*consent.Notice) ([]byte, error)
	delivered    func(webhook.Result)

	lists    *limit.Keyed // of each organization
	searches *limit.Keyed // of all
	exports  *limit.Keyed // of each organization
	ended    chan struct{}
	ending   sync.Once
	erasing  sync.WaitGroup
	noting   sync.WaitGroup
	jobs     *jobs.Runner // nil: this process runs none
	// importing are the calls that bring lines, of each organization and of all.
	importing, importers *limit.Keyed
}

// Options are what a Service is made of. Clock and Random are for exact tests.
type Options struct {
	Store  Store
	Places consent.Places
	// Keys encrypt what the ledger is committed with. Nil: nothing can be put on record.
	Keys *sealing.Ring
	// ReloadKeys, where set, is asked every second whether the key file changed, and at a key that Keys lack. Close
	// does not wait for it.
	ReloadKeys ReloadKeys
	// SigningKey signs checkpoints of the ledgers, which are called LedgerName/ORGANIZATION (empty: a name with the
	// instance's id). The zero key: none is signed.
	SigningKey sealing.SigningKey
	LedgerName string
	// Journal, where set, keeps who was erased apart from the store; see ForgetAgain.
	Journal Journal
	// Checkpoints, where set, keeps the newest checkpoints apart from the store: no ledger that is behind is signed.
	Checkpoints Checkpoints
	// Witnesses are sent each checkpoint, of a ledger one within CosignEvery (0: 10 s) at most.
	Witnesses   []*witness.Address
	CosignEvery time.Duration
	// Message makes the body of what a webhook is told, in the words of some protocol; nil: nobody is told anything.
	// Delivered, where set, is told what came of each try.
	Message   func(*consent.Notice) ([]byte, error)
	Delivered func(webhook.Result)
	// WebhookAllow are addresses that webhooks may have though they are not public, with http too.
	WebhookAllow []netip.Prefix
	Clock        func() time.Time // nil: time.Now
	Random       io.Reader        // nil: crypto/rand; must be safe for many goroutines
	Log          *slog.Logger     // nil: slog.Default
	// Observe, where set, is told of every batch that was written.
	Observe func(requests int, took time.Duration, err error)
	// Checkpointed, where set, is told what came of each attempt to sign a checkpoint: CheckpointSigned and so on.
	Checkpointed func(outcome string)
	// Witnessed, where set, is told what came of each attempt to have one cosigned: CosignDone and so on.
	Witnessed func(witness, outcome string)
	// RunJobs has this process run jobs that are due: a server does, a tool does not. JobKinds are some beside the
	// service's own. JobRun, where set, is told what came of each attempt: jobs.Done and so on. JobPoll and JobLease stand
	// instead of how often it is looked, and how long a job is held that nobody hears of; for tests.
	RunJobs           bool
	JobKinds          map[string]jobs.Kind
	JobRun            func(kind, outcome string, took time.Duration)
	JobPoll, JobLease time.Duration
	// OnlyServer: no other process runs jobs of the store, so those that are held were held by one that is gone.
	OnlyServer bool
	// Unreadable, where set, is told how many rows a list has shown without what could not be decrypted.
	Unreadable func(rows int)
}

// New makes a service and starts its writer and its signer; Close ends them.
func New(o Options) *Service {
	s := &Service{store: o.Store, feeds: newFeeds(), places: o.Places, clock: o.Clock, random: o.Random, log: o.Log,
		unreadable: o.Unreadable, webhookAllow: o.WebhookAllow, wakeFeeds: func() {},
		ended: make(chan struct{}),
		lists: limit.NewKeyed(1), searches: limit.NewKeyed(maxSearches),
		exports: limit.NewKeyed(exportsOfOne), importing: limit.NewKeyed(1), importers: limit.NewKeyed(maxImporters)}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.cache = newCache()
	s.journal.to = o.Journal
	s.secrets = newSecrets(o.Keys, s.random, o.ReloadKeys, s.log)
	s.keys = newVault(s.secrets)
	s.store = &sealedStore{Store: o.Store, keys: s.keys}
	s.witnesses = newWitnesses(s, &o)
	s.signer = newSigner(s, &o)
	s.witnesses.start()
	s.writer = writer.New(writer.Options{AcrossTenants: s.store.BatchesAcrossTenants(), Now: s.now, Random: s.read,
		Secrets: s.secrets, Suppressed: s.suppressedOf,
		Observe:        o.Observe,
		CatalogChanged: s.cache.drop, Committed: s.changed,
		Commit: func(ctx context.Context, organization consent.ID, write func(writer.Tx) error) error {
			return classify(ctx, s.commit(ctx, organization, func(tx Tx) error { return write(tx) }))
		}})
	if o.RunJobs {
		s.startJobs(&o)
	}
	if o.ReloadKeys != nil {
		go s.secrets.watch(s.ended) // Close does not wait for it: a look may hang
	}
	return s
}

// Close waits for the writes that were accepted and ends the writer and the signer; later
// writes are Unavailable. An erasure that is under way is undone. It may be called twice.
func (s *Service) Close() {
	s.writer.Close()
	s.signer.close()
	s.witnesses.close()
	s.ending.Do(func() { close(s.ended) })
	s.erasing.Wait()
	s.noting.Wait()
	if s.jobs != nil {
		s.jobs.Close()
		s.sender.Close()
	}
}

// Ready tells whether the service can take writes, else why not.
func (s *Service) Ready() error {
	if s.writer.Closed() {
		return &consent.Error{Kind: consent.Unavailable, Msg: "shutting down"}
	}
	if err := s.store.Ready(); err != nil {
		return err
	}
	if lasts := s.watchdog.stalledFor(time.Now()); lasts > 0 {
		return consent.Errorf(consent.Unavailable, "",
			"no write was committed for %s: the database takes none, its standby is missing, "+
				"or one write takes very long (the log tells); reads go on", lasts.Round(time.Second))
	}
	if s.secrets.unseen(time.Now()) {
		return errKeyFileUnseen
	}
	return nil
}

// now gives the time in the precision that is kept: microseconds, UTC.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// entropy hands out random bytes from a buffer, since asking the kernel for 10 bytes at a time is slow.
var entropy = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (s *Service) read(p []byte) {
	buffer := entropy.Get().(*bytes.Buffer)
	defer entropy.Put(buffer)
	if s.random != rand.Reader { // a test's: exact, so not pooled
		buffer = new(bytes.Buffer)
	}
	if buffer.Len() < len(p) {
		buffer.Reset()
		if _, err := io.CopyN(buffer, s.random, int64(max(len(p), 1024))); err != nil {
			panic("consent: no randomness: " + err.Error())
		}
	}
	_, _ = buffer.Read(p)
}

// newID makes the id of anything but an event.
func (s *Service) newID() consent.ID {
	var random [10]byte
	s.read(random[:])
	return consent.NewID(s.clock(), random)
}

// view reads; what is not an *Error becomes Internal.
func (s *Service) view(ctx context.Context, read func(Reader) error) error {
	return classify(ctx, s.store.View(ctx, read))
}

// viewOnce is view for a read that calls one method once.
func (s *Service) viewOnce(ctx context.Context, read func(Reader) error) error {
	return classify(ctx, s.store.ViewOnce(ctx, read))
}

// Lists may read much. Few run at once, so that questions about one person always find a reader, and none for long.
const (
	maxSearches   = 2
	searchTimeout = 10 * time.Second
)

// search reads a list of an organization, when it is its turn; the wait for that is part of its time. One of each
// organization is read at a time.
func (s *Service) search(ctx context.Context, organization consent.ID, read func(context.Context, Reader) error) error {
	within, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	for _, queue := range []struct {
		limiter *limit.Keyed
		of      consent.ID
	}{{s.lists, organization}, {s.searches, consent.NoID}} {
		done, err := queue.limiter.Acquire(within, queue.of)
		if err != nil {
			return &consent.Error{Kind: consent.Unavailable, Msg: "too many lists are being read; retry", Err: err}
		}
		defer done()
	}
	return classify(within, s.store.View(within, func(r Reader) error { return read(within, r) }))
}

// commit is a transaction of the store that somebody waits for; see commitWatchdog. write ends it by
// ErrNothing where there is nothing to commit.
func (s *Service) commit(ctx context.Context, organization consent.ID, write func(Tx) error) error {
	began, how := time.Now(), failed
	s.watchdog.begin(began)
	defer func() { s.watchdog.end(time.Now(), how) }()
	err := s.store.Update(ctx, organization, write)
	var lacking *writer.NoSecretError
	switch {
	case err == nil:
		how = committed
	case errors.As(err, &lacking): // for want of the key file
		how = refused
	case errors.Is(err, writer.ErrNothing), errors.Is(ctx.Err(), context.Canceled) && time.Since(began) < time.Second:
		// who leaves at once tells nothing
		how = refused
	}
	return err
}

// update does a write that is no decision, once (see consent.Idempotency).
func (s *Service) update(ctx context.Context, a consent.Actor, idem consent.Idempotency,
	write func(Tx) (any, error)) error {
	return s.settled(ctx, a, classify(ctx, s.store.Update(ctx, a.Organization, func(tx Tx) error {
		if idem.Key == "" {
			_, err := write(tx)
			return err
		}
		kept, err := tx.IdempotencyRecords(ctx, []consent.IdempotencyKey{idempotency.Key(idem, a)})
		if err != nil {
			return err
		}
		if err := idempotency.Replay(idem, a, kept[0], s.now()); err != nil {
			return err
		}
		result, err := write(tx)
		if err != nil {
			return err
		}
		answer, err := idempotency.Keep(idem, a, result, s.now())
		if err != nil {
			return err
		}
		return tx.Append(ctx, &consent.Changes{IdempotencyRecords: []consent.IdempotencyRecord{answer}})
	})))
}

// classify gives errors of the context their kind; everything else stays.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *consent.Error
	if errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return &consent.Error{Kind: consent.Unavailable, Msg: "the time for this request is over", Err: err}
	}
	return err
}
