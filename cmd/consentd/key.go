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
	"strings"
	"time"

	"github.com/consentd/consentd/internal/config"
	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/store/sqlite"
)

// keyCmd works on the data itself, beside a running server or without one.
type keyCmd struct {
	Settings
	Create     keyCreateCmd `cmd:"" help:"Make a key for an organization and print it once."`
	List       keyListCmd   `cmd:"" help:"List the keys of one organization or all; never the keys themselves."`
	Revoke     keyRevokeCmd `cmd:"" help:"End a key."`
	RotateRoot keyRotateCmd `cmd:"" help:"Make a new root key, print it once, and end the old one."`
}

// Help implements kong.HelpProvider.
func (keyCmd) Help() string {
	return `These commands open the data folder or the database itself, so they need no key: whoever may read and write it
may use them. They work beside a running server, which knows of a change within about a second.

What is made and revoked is an entry of the organization's ledger too, so create and revoke need the file of keys
(--kek-file, or kek in the data folder) as the server does; list and rotate-root do without.

Examples:

	consentd key create --name shop
	consentd key list --data /var/lib/consentd
	consentd key revoke 0190f5a2-7c1e-7d3a-9b1f-2a4c6e8d0b13
	consentd key rotate-root

Environment: CONSENTD_DATA names the data folder, CONSENTD_DATABASE_URL the database, CONSENTD_KEK_FILE the file of
keys, CONSENTD_CONFIG the YAML file, as for consentd serve.

Exit codes: 0 done, 1 failed, 2 wrong command line.`
}

type keyCreateCmd struct {
	Organization string   `help:"Id or slug of the organization; default: the only one there is." placeholder:"ID"`
	Name         string   `required:"" help:"What the key is for, in your words."`
	Scope        []string `sep:"none" help:"Scopes, repeated or separated by commas; default: all." placeholder:"SCOPE"`
	Expires      expiry   `help:"When it ends: 90d, 12h, 2030-01-02T15:04:05Z; default: never." placeholder:"WHEN"`
}

// opens says of each scope what a key with it may use.
var opens = map[consent.Scope]string{
	consent.OrganizationsWrite: "make projects; make and change purposes; make and revoke keys",
	consent.OrganizationsRead:  "read organizations, projects, purposes and the list of keys",
	consent.ConsentsWrite:      "record decisions and levels; make consent types",
	consent.ConsentsRead:       "read decisions, levels and consent types",
	consent.SubjectsWrite:      "make, change, restrict and delete persons and their records",
	consent.SubjectsRead:       "read and export persons and records; check suppressions",
	consent.SubjectsErase:      "erase persons for good",
	consent.ManageHub:          "both calls of Consent Hub, which no other scope opens",
	consent.LedgerRead:         "read checkpoints, proofs and tiles; needed for evidence",
	consent.ImportsWrite:       "bring in lines, and read how imports stand",
	consent.WebhooksWrite:      "have other systems told of what happens, and see who is",
}

// Help implements kong.HelpProvider.
func (keyCreateCmd) Help() string {
	var scopes strings.Builder
	for _, s := range consent.AllScopes {
		fmt.Fprintf(&scopes, "\t%-28s%s\n", s, opens[s])
	}
	return `Only a hash of the key is kept: what is printed now cannot be shown again.

A key without --scope has all scopes: it may do whatever can be done in its organization. Name those that it needs.

Examples:

	consentd key create --name shop --scope consents:write,consents:read
	consentd key create --name reports --scope consents:read --expires 90d
	consentd key create --name form --organization acme --scope manage:consent-hub-consent

Scopes:

` + scopes.String() + `
Exit codes: 0 made, 1 failed, 2 wrong command line.`
}

// Run makes a key.
func (c *keyCreateCmd) Run(k *keyCmd) error {
	scopes, err := parseScopes(c.Scope)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	request := consent.NewKey{Name: c.Name, Scopes: scopes}
	if request.ExpiresAt, err = c.Expires.time(time.Now()); err != nil {
		return &exitError{exitUsage, err}
	}
	return k.onFolder(true, func(ctx context.Context, f *folder) error {
		if err := f.needKeys(); err != nil {
			return err
		}
		o, err := f.organizations(ctx).only(c.Organization)
		if err != nil {
			return err
		}
		actor, err := f.service.Operator().In(o.ID)
		if err != nil {
			return err
		}
		made, err := f.service.CreateKey(ctx, actor, request, consent.Idempotency{})
		if consent.IsKind(err, consent.Invalid) {
			return &exitError{exitUsage, fmt.Errorf("%w; consentd key create --help lists what is allowed", err)}
		}
		if err != nil {
			return err
		}
		fmt.Printf("Key %s of %s (%s), scopes %s, expires %s. It is shown once:\n\n  %s\n",
			made.ID, o.Name, o.ID, joinScopes(made.Scopes, ","), when(made.ExpiresAt, "never"), made.Text)
		if len(c.Scope) == 0 {
			lines := scopeLines(consent.AllScopes, listWidth-len(scopesMark))
			fmt.Fprintf(os.Stderr, allScopesText, strings.Join(lines, "\n"+scopesMark))
		}
		return nil
	})
}

// allScopesText says what a key may do that was made without --scope.
const allScopesText = `
No --scope was given, so the key has all scopes:
    %s
If that is more than it is for, end it with consentd key revoke, and make one with fewer: --scope names them, such
as --scope consents:write,consents:read. consentd key create --help tells what each opens.
`

// parseScopes reads what was given by --scope, each one scope or several with commas between them; nothing given is all
// scopes.
func parseScopes(given []string) (scopes []consent.Scope, err error) {
	if len(given) == 0 {
		return slices.Clone(consent.AllScopes), nil
	}
	for _, s := range strings.Split(strings.Join(given, ","), ",") {
		if s = strings.TrimSpace(s); s == "" { // an empty variable in a script must not make a key that may do everything
			return nil, errors.New("--scope is empty; name scopes, or leave --scope away for all of them")
		}
		scopes = append(scopes, consent.Scope(s))
	}
	return scopes, nil
}

type keyRevokeCmd struct {
	ID string `arg:"" help:"Id of the key, as consentd key list shows it, or the key itself."`
}

// Help implements kong.HelpProvider.
func (keyRevokeCmd) Help() string {
	return `The key stops working within a second or so, and cannot be made to work again; what it wrote stays as it is.

Example:

	consentd key revoke 0198c0de-5eed-7000-8000-000000000001`
}

// Run revokes a key, of whichever organization it is.
func (c *keyRevokeCmd) Run(k *keyCmd) error {
	id, ok := consent.ParseID(c.ID)
	if !ok {
		id, ok = service.KeyID(c.ID) // somebody has found a key where it should not be
	}
	if !ok { // it may be a mistyped key, so it is not repeated
		return &exitError{exitUsage, errors.New("what was given is neither the id of a key nor a key; consentd key list " +
			"shows the ids")}
	}
	return k.onFolder(true, func(ctx context.Context, f *folder) error {
		if err := f.needKeys(); err != nil {
			return err
		}
		revoked := false
		err := f.organizations(ctx).each("", func(o *consent.OrganizationView) error {
			actor, err := f.service.Operator().In(o.ID)
			if err != nil || revoked {
				return err
			}
			err = f.service.RevokeKey(ctx, actor, id, consent.Idempotency{})
			if consent.IsKind(err, consent.NotFound) {
				return nil
			}
			if revoked = err == nil; revoked {
				fmt.Printf("Key %s of %s is revoked. A running server refuses it within a second or so.\n", id, o.Name)
			}
			return err
		})
		if err != nil || revoked {
			return err
		}
		return fmt.Errorf("no organization has a key %s; consentd key list shows the ids", id)
	})
}

type keyRotateCmd struct{}

// Help implements kong.HelpProvider.
func (keyRotateCmd) Help() string {
	return `For a root key that was lost, or got to where it should not be. A running server refuses the old one within a
second or so. Where the server is started with CONSENTD_ROOT_KEY, that value stays the root key, and the new one counts
once the server is started without it.

Examples:

	consentd key rotate-root
	consentd key rotate-root --data /var/lib/consentd`
}

// Run makes a new root key.
func (keyRotateCmd) Run(k *keyCmd) error {
	return k.onFolder(false, func(ctx context.Context, f *folder) error {
		made, err := f.service.CreateRootKey(ctx, true)
		if err != nil {
			return err
		}
		fmt.Printf("The new root key. It is shown once:\n\n  %s\n\nThe one that was kept in this store has ended. ",
			made.Text)
		fmt.Println("Where a server was started with CONSENTD_ROOT_KEY, that value is still its\nroot key: to end it, give " +
			"the server another value, or none, and start it again.")
		return nil
	})
}

// folder is a data folder that is open for a tool.
type folder struct {
	service *service.Service
	cfg     *config.Config
	keyFile string // where the key file is, where it was asked for and read
	noKeys  error  // why it was opened without the key file that was asked for; nil: it was not
}

// needKeys tells why nothing can be added to a ledger; nil: it can.
func (f *folder) needKeys() error {
	if f.noKeys == nil {
		return nil
	}
	return fmt.Errorf("what is done to a key is an entry of the ledger, which takes the file of keys: %w", f.noKeys)
}

// onFolder opens the data folder, which must have a database, for as long as do runs. keyed opens it with its
// key file, where that can be read.
func (s *Settings) onFolder(keyed bool, do func(context.Context, *folder) error) (err error) {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	if err := hasDatabase(cfg); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	places, err := geo.New(geo.Options{})
	if err != nil {
		return err
	}
	opened, err := openStore(ctx, cfg, log, false)
	if err != nil {
		return err
	}
	options := service.Options{Store: opened, Places: places, Log: log}
	f := &folder{cfg: cfg}
	if keyed {
		var keys *keyFile
		if keys, f.noKeys = knownKeys(ctx, cfg, opened); f.noKeys == nil {
			options.Keys, options.ReloadKeys, f.keyFile = keys.file.Ring(rand.Reader), keys.reload, keys.path
		}
	}
	f.service = service.New(options)
	defer func() {
		f.service.Close()
		if closeErr := opened.Close(); err == nil {
			err = closeErr
		}
	}()
	return do(ctx, f)
}

// hasDatabase refuses a folder without data: a mistyped path must not become a new data folder.
func hasDatabase(cfg *config.Config) error {
	if cfg.Database != "" {
		return nil
	}
	info, err := os.Stat(filepath.Join(cfg.Data, sqlite.FileName))
	if err == nil && info.Size() == 0 {
		return fmt.Errorf("the %s in %s is empty: start consentd serve there first, or name the data folder with --data",
			sqlite.FileName, cfg.Data)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s in %s: start consentd serve there first, or name the data folder with --data",
			sqlite.FileName, cfg.Data)
	}
	return err
}

// organizations lists the organizations of a folder.
func (f *folder) organizations(ctx context.Context) organizationsFrom {
	return func(offset int) ([]consent.OrganizationView, error) {
		filter := consent.OrganizationFilter{Offset: offset, Limit: service.MaxPage}
		page, err := f.service.Organizations(ctx, f.service.Operator(), filter)
		return page.Items, err
	}
}

// eachKey visits the keys of an organization in order of id.
func (f *folder) eachKey(ctx context.Context, organization consent.ID, visit func(*consent.Key)) error {
	actor, err := f.service.Operator().In(organization)
	if err != nil {
		return err
	}
	for after := consent.NoID; ; {
		keys, err := f.service.Keys(ctx, actor, after, service.MaxPage)
		if err != nil {
			return err
		}
		for i := range keys {
			visit(&keys[i])
		}
		if len(keys) < service.MaxPage {
			return nil
		}
		after = keys[len(keys)-1].ID
	}
}

// hasAll reports whether no scope is missing.
func hasAll(scopes []consent.Scope) bool {
	return !slices.ContainsFunc(consent.AllScopes, func(s consent.Scope) bool { return !slices.Contains(scopes, s) })
}

func joinScopes(scopes []consent.Scope, separator string) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, separator)
}

// when shows a time, or a word where there is none.
func when(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}
