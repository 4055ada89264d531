package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

type keyListCmd struct {
	Organization string `help:"Id or slug of the organization; default: all." placeholder:"ID"`
}

// Help implements kong.HelpProvider.
func (keyListCmd) Help() string {
	return `Lists the keys of each organization, two lines a key: its id, its name, the day it was made and when it ends
or has ended, then its scopes. No line has more than 100 columns; a longer name ends with …

Examples:

	consentd key list
	consentd key list --organization acme --data /var/lib/consentd`
}

// Run lists keys.
func (c *keyListCmd) Run(k *keyCmd) error {
	return k.onFolder(false, func(ctx context.Context, f *folder) error {
		t := keyTable{out: os.Stdout, now: time.Now()}
		err := f.organizations(ctx).each(c.Organization, func(o *consent.OrganizationView) error {
			return f.eachKey(ctx, o.ID, func(key *consent.Key) { t.key(&o.Organization, key) })
		})
		if err != nil {
			return err
		}
		if t.last == consent.NoID {
			t.line("no keys")
		}
		return t.err
	})
}

// Columns of the list of keys. A line is at most as wide as all of them; a name and the id it stands beside share one.
const (
	listWidth  = 100
	idWidth    = 36
	nameWidth  = 20
	dayWidth   = len(time.DateOnly)
	scopesMark = "    "
)

// keyTable writes a list of keys line by line, so that a long one needs no memory.
type keyTable struct {
	out  io.Writer
	now  time.Time
	last consent.ID // the organization whose keys come
	err  error      // the first that writing met
}

// key writes the two lines of a key, and before the first of an organization what the lines say.
func (t *keyTable) key(o *consent.Organization, key *consent.Key) {
	if t.last != o.ID {
		if t.last != consent.NoID {
			t.line("")
		}
		t.line("Organization " + o.ID.String() + " " + fit(printable(o.Slug), listWidth-len("Organization  ")-idWidth))
		t.row("ID", "NAME", "CREATED", "ENDS")
		t.last = o.ID
	}
	t.row(key.ID.String(), strconv.QuoteToGraphic(key.Name), key.CreatedAt.UTC().Format(time.DateOnly), ends(key, t.now))
	lines := []string{"all scopes"}
	if !hasAll(key.Scopes) {
		lines = scopeLines(key.Scopes, listWidth-len(scopesMark))
	}
	for _, line := range lines {
		t.line(scopesMark + line)
	}
}

func (t *keyTable) row(id, name, created, ends string) {
	t.line(pad(id, idWidth) + "  " + pad(fit(name, nameWidth), nameWidth) + "  " + pad(created, dayWidth) + "  " + ends)
}

func (t *keyTable) line(s string) {
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.out, s)
	}
}

// ends says when a key ends, or why it has ended.
func ends(key *consent.Key, now time.Time) string {
	switch {
	case !key.RevokedAt.IsZero():
		return "revoked " + when(key.RevokedAt, "")
	case key.Live(now):
		return when(key.ExpiresAt, "never")
	}
	return "expired " + when(key.ExpiresAt, "")
}

// scopeLines shows scopes in lines of a width at most.
func scopeLines(scopes []consent.Scope, most int) (lines []string) {
	line := ""
	for i, s := range scopes {
		word := string(s)
		if i < len(scopes)-1 {
			word += ","
		}
		if line != "" && len(line)+1+len(word) > most {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// printable gives a text as it is, or in quotes where it has what must not get to a terminal, such as an escape
// sequence.
func printable(s string) string {
	if quoted := strconv.QuoteToGraphic(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

// columns is how many columns of a terminal a character takes at most: two from where the first wide ones are.
func columns(r rune) int {
	if r >= 0x1100 && r <= 0x115f || r >= 0x2300 { // Hangul; symbols, CJK and emoji, with some between that are narrow
		return 2
	}
	return 1
}

// fit cuts a text to a number of columns; one that was cut ends with …
func fit(s string, most int) string {
	used, short := 0, 0 // short: how many bytes fit before the …
	for i, r := range s {
		if used <= most-1 {
			short = i
		}
		if used += columns(r); used > most {
			return s[:short] + "…"
		}
	}
	return s
}

// pad fills a text with spaces up to a number of columns.
func pad(s string, to int) string {
	for _, r := range s {
		to -= columns(r)
	}
	return s + strings.Repeat(" ", max(0, to))
}
