package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/template"

	"github.com/consentd/consentd/internal/consent"
)

// ensureRootKey sees to it that somebody has a key: the configured root key, or one that is made and printed at the
// first start on an empty store. On a store that is not empty none is made: a log would show it, long after anybody
// looks. None is made either while a node of Citus is down: whether the store is empty cannot be known then.
func (r *running) ensureRootKey(ctx context.Context) error {
	if r.cfg.RootKey != "" {
		r.service.UseRootKey(r.cfg.RootKey)
		return nil
	}
	page, err := r.service.Organizations(ctx, r.service.Operator(), consent.OrganizationFilter{Limit: 1})
	if r.store.nodeDown(err) {
		r.log.Warn("a node of Citus does not answer, so nobody looked whether there is a root key, and none was made",
			"error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for organizations: %w", err)
	}
	w := welcome{Program: program(), URL: localURL(r.listener.Addr()), Data: shellWord(r.cfg.Place()),
		Flags: " --data " + shellWord(r.cfg.Data)}
	if r.cfg.Database != "" {
		w.Flags = ", with the same CONSENTD_DATABASE_URL," // the URL itself may hold a password
	}
	if page.Total > 0 {
		return r.warnWithoutRootKey(ctx, &w)
	}
	root, err := r.service.CreateRootKey(ctx, false)
	if err != nil {
		return fmt.Errorf("make the root key: %w", err)
	}
	if root.Text == "" {
		r.log.Warn("there is a root key but no organization yet. If you do not have the root key, make a new one: consentd " +
			"key rotate-root" + w.Flags)
		return nil
	}
	w.Root = root.Text
	if err := w.print(rootText); err != nil { // at once: nobody can read the key later
		return err
	}
	if err := r.firstOrganization(ctx, &w); err != nil {
		return fmt.Errorf("make the first organization: %w", err)
	}
	return w.print(firstText)
}

// warnWithoutRootKey warns where a store that is in use has no root key of its own: it had one by CONSENTD_ROOT_KEY.
func (r *running) warnWithoutRootKey(ctx context.Context, w *welcome) error {
	has, err := r.service.HasRootKey(ctx)
	if r.store.nodeDown(err) {
		r.log.Warn("a node of Citus does not answer, so nobody looked whether there is a root key", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the root key: %w", err)
	}
	if !has {
		r.log.Warn("there is no root key: start with CONSENTD_ROOT_KEY as before, or make one that is kept: consentd key " +
			"rotate-root" + w.Flags)
	}
	return nil
}

// program is how this program was called.
func program() string {
	if strings.ContainsRune(os.Args[0], '/') {
		return shellWord(os.Args[0])
	}
	return "consentd"
}

// firstOrganization makes an organization with a key of its own.
func (r *running) firstOrganization(ctx context.Context, w *welcome) error {
	operator := r.service.Operator()
	view, err := r.service.CreateOrganization(ctx, operator, consent.NewOrganization{
		Name: "My organization", PrimaryDomain: "localhost", Details: []byte("{}")}, consent.Idempotency{})
	if err != nil {
		return err
	}
	actor, err := operator.In(view.ID)
	if err != nil {
		return err
	}
	key, err := r.service.CreateKey(ctx, actor, consent.NewKey{Name: "first key", Scopes: slices.Clone(consent.AllScopes)},
		consent.Idempotency{})
	if err != nil {
		return err
	}
	w.Name, w.Organization, w.Project, w.Key = view.Name, view.ID.String(), view.DefaultProject().ID.String(), key.Text
	return nil
}

// welcome is what the texts of the first start are made from.
type welcome struct {
	Program, URL, Data, Root, Flags  string
	Name, Organization, Project, Key string
}

func (w *welcome) print(t *template.Template) error {
	var text bytes.Buffer
	if err := t.Execute(&text, w); err != nil {
		return err
	}
	if _, err := os.Stdout.Write(text.Bytes()); err != nil {
		return fmt.Errorf("print the keys: %w; they cannot be shown again: consentd key rotate-root makes a new root key",
			err)
	}
	return nil
}

// shellWord quotes a text so that a shell takes it as one word.
func shellWord(s string) string {
	plain := strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%,", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

var rootText = template.Must(template.New("root").Parse(`
This is the first start on {{.Data}}, where all data is kept. Two kinds of keys open this server; only a hash
of each is kept, so each is shown once. Put them where you keep passwords.

The root key. It makes organizations and acts for any of them; keep it for administration:

  {{.Root}}

Lost it? {{.Program}} key rotate-root{{.Flags}} makes a new one, and the old one ends.
`))

// firstText holds a curl for each protocol, each of which works alone, in any order and again.
var firstText = template.Must(template.New("first").Parse(`
A first organization was made, "{{.Name}}", with a project and a key of its own. The key has all scopes; your
applications use it, or keys with fewer scopes ({{.Program}} key create --help):

  organization  {{.Organization}}
  project       {{.Project}}
  key           {{.Key}}

Try it. Paste each of these into another terminal, in any order and as often as you like.

Concord: record that Ada accepted e-mail marketing.

curl -sS {{.URL}}/privacy-v1/organizations/{{.Organization}}/projects/{{.Project}}/consent-events \
  -H 'x-api-key: {{.Key}}' -H 'Content-Type: application/json' \
  -d '{"items":[{"email":"ada@example.com","category":"communication","subcategory":"email",{{/* the line goes on */ -}}
"label":"general_marketing","consentState":"accepted","consentAction":"user_click"}]}'

Consent Hub: what did Ada choose? Once the call above was made, usersChoice… is true: one person, one ledger.

curl -sS {{.URL}}/consent-hub/consent-config/get \
  -u 'me@example.com:{{.Key}}' -H 'Content-Type: application/json' \
  -d '{"email":"ada@example.com","userIp":"185.166.140.232"}'

SlashID: make Ada's person record, or find it. Then PUT /persons/<person_id of the answer>/consent/gdpr with the
same headers and {"consent_levels":["analytics","marketing"]} sets her levels, and GET on that path reads them.

curl -sS -X PUT {{.URL}}/persons \
  -H 'SlashID-OrgID: {{.Organization}}' -H 'SlashID-API-Key: {{.Key}}' -H 'Content-Type: application/json' \
  -d '{"handles":[{"type":"email_address","value":"ada@example.com"}]}'

ConsentGrid: keep data about a subject, here the user bob; each call makes a new version.

curl -sS {{.URL}}/v1/subjects/user/bob \
  -H 'Authorization: Bearer {{.Key}}' -H 'Content-Type: application/json' \
  -d '{"data":{"plan":"free"}}'

consentd's own API: list the keys of the organization.

curl -sS {{.URL}}/api/v1/organizations/{{.Organization}}/keys \
  -H 'Authorization: Bearer {{.Key}}'

Next: point an unchanged client of any of these at {{.URL}}. {{.Program}} config shows the settings, {{.Program}} doctor
checks this machine, {{.Program}} --help tells the rest.

`))
