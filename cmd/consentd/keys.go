package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/service"
)

// keysCmd looks after the key file, beside running servers or without one.
type keysCmd struct {
	Settings
	List      keysListCmd   `cmd:"" help:"List the keys of the key file, and how many secrets each wraps."`
	RotateKEK keysRotateCmd `cmd:"" name:"rotate-kek" help:"Add a key, and wrap the secrets of everybody by it."`
	Retire    keysRetireCmd `cmd:"" help:"Destroy the keys that nothing is wrapped by any more."`
}

// Help implements kong.HelpProvider.
func (keysCmd) Help() string {
	return `What the ledger is committed with, a secret of each person, is wrapped (encrypted) by a key of the key file,
which is not in the database. These commands put another key in its place and destroy the old one: by what is in the
key file then, nothing of an older copy of the database can be unwrapped. API keys are another thing: see consentd key.

They work beside running servers, which take in the changed file within seconds. Run them as the user that the servers
run as.

Examples:

	consentd keys list --data /var/lib/consentd
	consentd keys rotate-kek --data /var/lib/consentd
	consentd keys retire --data /var/lib/consentd      # 15 minutes later, or more
	CONSENTD_DATABASE_URL_FILE=/run/secrets/database consentd keys rotate-kek --kek-file /etc/kek

Environment: CONSENTD_DATA names the data folder, CONSENTD_DATABASE_URL the database, CONSENTD_KEK_FILE the key file,
CONSENTD_CONFIG the YAML file, as for consentd serve.

Exit codes: 0 done, 1 refused, failed, or stopped by a signal, 2 wrong command line.`
}

// keysWork is a store and its key file, opened for a command.
type keysWork struct {
	store    service.Store
	place    string // where that is
	keys     *keyFile
	log      *slog.Logger
	out      io.Writer
	progress *keysProgress
}

// onKeys opens the store and its key file for as long as do runs.
func (k *keysCmd) onKeys(do func(context.Context, *keysWork) error) (err error) {
	cfg, err := k.load()
	if err != nil {
		return err
	}
	if _, err := keyFilePath(cfg); err != nil {
		return err
	}
	if err := hasDatabase(cfg); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once; that does no harm either
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := openStore(ctx, cfg, log, false)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := store.Close(); err == nil {
			err = closeErr
		}
	}()
	keys, err := knownKeys(ctx, cfg, store)
	if errors.Is(err, errNoKeyFileYet) {
		err = fmt.Errorf("%s: %w: start consentd serve there first", cfg.Place(), err)
	}
	if err != nil {
		return err
	}
	w := &keysWork{store: store, place: cfg.Place(), keys: keys, log: log, out: os.Stdout,
		progress: newKeysProgress(os.Stderr, terminalWidth(os.Stderr))}
	defer w.progress.end()
	if err = do(ctx, w); err != nil && ctx.Err() != nil {
		return errors.New("stopped by a signal; the same command goes on where it was")
	}
	return err
}

// say writes a line of the result.
func (w *keysWork) say(format string, args ...any) {
	w.progress.pause(func() { fmt.Fprintf(w.out, format+"\n", args...) })
}

type keysListCmd struct{}

// Help implements kong.HelpProvider.
func (keysListCmd) Help() string {
	return `Lists the keys of the key file, the newest last: id, when it was made, how many secrets it wraps, and how it
stands. It looks at the secret of everybody. A key that wraps something and is not in the file comes at the end: what it
wraps cannot be read. The keys themselves are never shown.

Examples:

	consentd keys list
	consentd keys list --data /var/lib/consentd --kek-file /etc/consentd/kek

Exit codes: 0 listed, 1 failed, or a key is not in the file, 2 wrong command line.`
}

// Run lists the keys.
func (keysListCmd) Run(k *keysCmd) error {
	return k.onKeys(func(ctx context.Context, w *keysWork) error {
		use, err := w.keys.count(ctx, w.store, w.progress.at("counting"))
		if err != nil {
			return err
		}
		for _, line := range keyLines(w.keys.file, &use, time.Now()) {
			w.say("%s", line)
		}
		if fault := lostKeys(w.keys.file, &use); fault != "" {
			return fmt.Errorf("%s: %s", fault, lostAdvice)
		}
		return nil
	})
}

// keyLines is the list of keys.
func keyLines(f *sealing.File, use *service.KeyUse, now time.Time) (lines []string) {
	row := func(id, made, wraps, state string) {
		lines = append(lines, fmt.Sprintf("%-8s  %-20s  %10s  %s", id, made, wraps, state))
	}
	row("ID", "MADE", "WRAPS", "STATE")
	keys := f.KEKs()
	for i, k := range keys {
		state := "newest"
		if i < len(keys)-1 {
			state = stateOf(use.Wrapped[k.ID], keys[i+1].Created, now)
		}
		row(k.ID.String(), stamp(k.Created), fmt.Sprint(use.Wrapped[k.ID]), state)
	}
	for _, id := range notIn(f, use) {
		row(id.String(), "", fmt.Sprint(use.Wrapped[id]), "not in the file")
	}
	if use.Damaged > 0 {
		row("?", "", fmt.Sprint(use.Damaged), "damaged")
	}
	return lines
}

// stateOf says how a key stands that wraps so many secrets, since another one was added.
func stateOf(wraps int64, since, now time.Time) string {
	switch at := since.Add(service.OutOfUseAfter); {
	case wraps > 0:
		return "in use; consentd keys rotate-kek rewraps"
	case now.Before(at):
		return "not in use; may be retired from " + stamp(at) + " on"
	}
	return "not in use; consentd keys retire destroys it"
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// notIn names the keys in order that wrap something and are not in a file.
func notIn(f *sealing.File, use *service.KeyUse) (ids []sealing.KEKID) {
	has := kekIDs(f)
	for id, n := range use.Wrapped {
		if n > 0 && !slices.Contains(has, id) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b sealing.KEKID) int { return strings.Compare(a.String(), b.String()) })
	return ids
}

const lostAdvice = "put back the copy of the key file that has them; until then these people's entries cannot be " +
	"proved, and what is written about them fails"

// lostKeys says which keys wrap something and are not in a file; "": none.
func lostKeys(f *sealing.File, use *service.KeyUse) string {
	var each []string
	total := int64(0)
	for _, id := range notIn(f, use) {
		total += use.Wrapped[id]
		each = append(each, fmt.Sprintf("%s: %d", id, use.Wrapped[id]))
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("%s wrapped by keys that the key file lacks (%s)", secrets(total), strings.Join(each, ", "))
}

// secrets says how many secrets are something.
func secrets(n int64) string {
	if n == 1 {
		return "1 secret is"
	}
	return fmt.Sprintf("%d secrets are", n)
}

// ids lists keys.
func ids(keys []sealing.KEKID) string {
	names := make([]string, len(keys))
	for i, id := range keys {
		names[i] = id.String()
	}
	return strings.Join(names, ", ")
}

// keysProgress shows how far a pass over all secrets is.
type keysProgress struct {
	progress
	step                               string
	organizations, of, seen, rewrapped int64
}

func newKeysProgress(out io.Writer, width int) *keysProgress {
	p := &keysProgress{}
	p.start(out, width, p.text)
	return p
}

// at gives what takes how far a step is.
func (p *keysProgress) at(step string) func(service.KeyUse) {
	p.begin(step)
	return func(u service.KeyUse) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.organizations, p.of, p.seen, p.rewrapped = u.Organizations, u.Of, u.Secrets(), u.Rewrapped
	}
}

// begin begins a step.
func (p *keysProgress) begin(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.organizations, p.of, p.seen, p.rewrapped = step, 0, 0, 0, 0
}

// pause takes the line away while something else is written to the same terminal.
func (p *keysProgress) pause(write func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	write()
}

// text says how far it is; called with the lock held.
func (p *keysProgress) text() string {
	if p.of == 0 {
		return p.step
	}
	line := fmt.Sprintf("%s: %d of %s, %s looked at", p.step, p.organizations, plural(p.of, "organization"),
		plural(p.seen, "secret"))
	if p.rewrapped > 0 {
		line += fmt.Sprintf(", %d rewrapped", p.rewrapped)
	}
	return line
}
