package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/limit"
	"github.com/consentd/consentd/internal/protocol/native"
	"github.com/consentd/consentd/internal/server"
	"github.com/consentd/consentd/internal/service"
)

// Timeouts and limits of a connection (contracts, "Limits").
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
)

type serveCmd struct{ Settings }

// Help implements kong.HelpProvider.
func (serveCmd) Help() string {
	return `Serves all protocols on one address until SIGTERM or SIGINT. Then /readyz is red, and requests are answered for
--shutdown-delay more, each with "Connection: close". After that it takes no new connections, answers every request that
it has begun to read, and ends; an export whose reader takes nothing is cut off. A second signal ends it at once.

Data is kept in SQLite in the data folder, or with --database in PostgreSQL, which any number of servers may share;
the schema is made and brought up to date by whichever starts first. See docs/operating.md.

The first start on an empty store prints the root key, makes an organization with a key of its own, and
prints a curl for each protocol. With CONSENTD_ROOT_KEY (or CONSENTD_ROOT_KEY_FILE) that value is the root key and
nothing is printed or made.

Examples:

	consentd serve
	consentd serve --listen :8080 --data /var/lib/consentd --log-format json
	CONSENTD_DATABASE_URL_FILE=/run/secrets/database consentd serve --listen :8080
	CONSENTD_ROOT_KEY_FILE=/run/secrets/root-key consentd serve
	consentd serve --trusted-proxies 10.0.0.0/8 --public-url https://consent.example.com

For the operator's tools: /healthz (the process answers), /readyz (it takes writes, or why not), /metrics.

Exit codes: 0 ended by a signal, every request answered; 1 failed, requests cut off at --shutdown-timeout, or a second
signal; 2 wrong configuration; 3 another server runs on the data folder.`
}

// Run serves until a signal.
func (c *serveCmd) Run() error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	log, flush := newLog(os.Stderr, cfg)
	defer flush()
	tuneCollector()
	ending, stop := onSignals(log)
	defer stop()
	s, err := start(ending, cfg, log)
	if err != nil {
		return err
	}
	return s.serve(ending)
}

// sameSignal is how soon after the first a signal is the same one: a supervisor may send it to the process and to its
// group.
const sameSignal = 200 * time.Millisecond

// onSignals gives a context that ends with the first SIGTERM or SIGINT; the second ends the process.
func onSignals(log *slog.Logger) (ending context.Context, stop func()) {
	ending, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		first, ok := <-signals
		if !ok {
			return
		}
		log.Info("shutting down: every request that has begun is answered", "signal", first.String())
		cancel()
		for began := time.Now(); ; {
			second, ok := <-signals
			if !ok {
				return
			}
			if time.Since(began) < sameSignal {
				continue
			}
			log.Error("stopped at once by a second signal", "signal", second.String())
			os.Exit(exitFailed)
		}
	}()
	return ending, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// running is a server with everything that it is made of.
type running struct {
	cfg      *config.Config
	log      *slog.Logger
	listener *listener
	store    *openedStore
	service  *service.Service
	journals *journals // nil: none are kept
	handler  *server.Server
	http     *http.Server
}

// start opens everything. The address comes first: where it is taken, nothing was made or printed.
func start(ctx context.Context, cfg *config.Config, log *slog.Logger) (*running, error) {
	began := time.Now()
	r := &running{cfg: cfg, log: log}
	if err := r.open(ctx); err != nil {
		r.close()
		return nil, err
	}
	log.Info("listening", "address", r.listener.Addr().String(), "url", localURL(r.listener.Addr()), "data", cfg.Place(),
		"version", version, "us", time.Since(began).Microseconds())
	return r, nil
}

func (r *running) open(ctx context.Context) (err error) {
	places, err := geo.New(geo.Options{MMDB: r.cfg.GeoMMDB, Regimes: r.cfg.Regimes})
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if r.listener, err = listen(ctx, r.cfg.Listen, newPeers(r.cfg.TrustedProxies, r.log)); err != nil {
		if locked := otherServer(r.cfg); locked != nil {
			return locked
		}
		return fmt.Errorf("%w; give another address with --listen", err)
	}
	if r.store, err = openStore(ctx, r.cfg, r.log, true); err != nil {
		return err
	}
	metrics := server.NewMetrics(version, func() error { return r.service.Ready() })
	metrics.Store(func() (figures []server.Figure) {
		for _, f := range r.store.figures() {
			figures = append(figures, server.Figure(f))
		}
		return append(figures, r.listener.peers.figure())
	})
	keys, err := openKeys(ctx, r.cfg, r.store, r.log)
	if err != nil {
		return err
	}
	signing, _ := keys.file.SigningKey()
	if r.journals, err = openJournals(r.cfg, keys.path); err != nil {
		return err
	}
	options := service.Options{Store: r.store, Places: places, Keys: keys.file.Ring(rand.Reader),
		ReloadKeys: keys.reload, SigningKey: signing, LedgerName: r.cfg.LedgerName, Log: r.log, Observe: metrics.Batch,
		Checkpointed: metrics.Checkpoint, Witnesses: r.cfg.Witnesses, Witnessed: metrics.Cosigned,
		Unreadable: metrics.Unreadable, RunJobs: true, OnlyServer: !r.store.Shared(), JobRun: metrics.Job,
		WebhookAllow: r.cfg.WebhookAllow,
		Message:      native.Message, Delivered: metrics.Delivered}
	r.journals.put(&options)
	r.service = service.New(options)
	metrics.Witnesses(witnessNames(r.cfg), r.service.WitnessLags)
	metrics.Jobs(r.service.JobCounts)
	metrics.Webhooks(r.service.WebhookCounts)
	if err := r.forgetAgain(ctx); err != nil {
		return err
	}
	if err := r.ensureRootKey(ctx); err != nil {
		return err
	}
	r.handler = server.New(server.Options{Service: r.service, Places: places, Log: r.log, Metrics: metrics,
		LedgerPublic: r.cfg.LedgerPublic,
		PublicURL:    r.publicURL(), CORSOrigins: r.cfg.CORSOrigins, TrustedProxies: r.cfg.TrustedProxies,
		Limits: server.Limits{Key: limit.Quota(r.cfg.RateKey), Organization: limit.Quota(r.cfg.RateOrganization),
			Failures: limit.Quota(r.cfg.RateFailures)}})
	r.listener.malformed = r.handler.Malformed
	r.http = &http.Server{Handler: r.handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ConnState: r.listener.state, ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelWarn)}
	return nil
}

// publicURL is the configured one, with the port that was taken where any was asked for.
func (r *running) publicURL() string {
	if base, ok := strings.CutSuffix(r.cfg.PublicURL, ":0"); ok {
		_, port, _ := net.SplitHostPort(r.listener.Addr().String())
		return base + ":" + port
	}
	return r.cfg.PublicURL
}

// serve answers until the context ends, and then ends in order.
func (r *running) serve(ending context.Context) error {
	served := make(chan error, 1)
	go func() { served <- r.http.Serve(r.listener) }()
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve: %w", err)
	case <-ending.Done():
		err = r.shutdown()
	}
	if closeErr := r.close(); err == nil {
		err = closeErr
	}
	if err == nil {
		r.log.Info("stopped: every request was answered")
	}
	return err
}

// shutdown answers requests for the shutdown delay more, so that clients and balancers learn of the end. Then it takes
// no new connections, and lets every request that has begun be answered within the shutdown timeout.
func (r *running) shutdown() error {
	r.handler.Drain()
	time.Sleep(r.cfg.ShutdownDelay)
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.ShutdownTimeout)
	defer cancel()
	_ = r.listener.Close()
	// A reader who takes nothing must not hold up the end, nor one who takes a long export slowly.
	r.handler.HurryStreams()
	defer time.AfterFunc(r.cfg.ShutdownTimeout*3/4, r.handler.EndStreams).Stop()
	err := r.listener.waitBegun(ctx)
	if err == nil {
		r.listener.closeSilent()
		err = r.http.Shutdown(ctx)
	}
	if err != nil {
		_ = r.http.Close()
		return fmt.Errorf("requests were cut off, since they took longer than --shutdown-timeout %s: %w",
			r.cfg.ShutdownTimeout, err)
	}
	return nil
}

// close ends what was opened, the last first.
func (r *running) close() error {
	var errs []error
	if r.listener != nil {
		_ = r.listener.Close() // mostly closed by the http.Server
	}
	if r.service != nil {
		r.service.Close()
	}
	if r.store != nil {
		if err := r.store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the store: %w", err))
		}
	}
	r.journals.close()
	return errors.Join(errs...)
}

// localURL is a URL by which this machine reaches an address that is listened on.
func localURL(a net.Addr) string {
	tcp := a.(*net.TCPAddr)
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(tcp.Port))
}
