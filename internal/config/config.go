// Package config knows consentd's settings: their names, where a value may come
// from, and what is allowed. It does not know what a setting does, and of the
// files that settings name it opens only the YAML file and the _FILE values.
//
// The first of these that gives a value wins: a flag, an environment variable
// CONSENTD_X (or the content of the file that CONSENTD_X_FILE names), the YAML
// file, the default. An environment variable that is set but empty counts as
// not set. Everything is driven by one table; see Settings.
package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/witness"
)

// Config is the effective configuration, checked. It prints and logs without
// its secrets, whichever way it is formatted.
type Config struct {
	File                string // the YAML file; "" for none
	Listen              string
	Data                string
	KEKFile             string // empty: kek in Data
	Journals            string // empty: beside the key file; JournalsOff: none
	Database            string `json:"-"` // "" for SQLite in Data
	AdminDatabase       string `json:"-"` // "" for Database
	DatabaseConnections int
	Retention           int    // months; 0 for ever
	LedgerName          string // empty: made of the instance's id
	LedgerPublic        bool   // ledgers are read without a key
	Witnesses           []*witness.Address
	PersonCache         bool   // answers about people may come from memory, over SQLite
	RootKey             string `json:"-"` // "" for none
	TrustedProxies      []netip.Prefix
	WebhookAllow        []netip.Prefix // addresses that webhooks may have though they are not public
	CORSOrigins         []string
	RateKey             Rate   // requests of each key
	RateOrganization    Rate   // requests about each organization
	RateFailures        Rate   // wrong credentials of each address
	GeoMMDB             string // "" for the built-in table
	Regimes             map[string]consent.Regime
	PublicURL           string // without a slash at the end
	LogLevel            slog.Level
	LogFormat           string // text or json
	ShutdownDelay       time.Duration
	ShutdownTimeout     time.Duration

	given []given
}

// Rate is how many are let through within a window; the zero Rate is no limit.
type Rate struct {
	Count  int
	Window time.Duration
}

// JournalsOff is what Journals is where none are kept.
const JournalsOff = "off"

// given is a setting's value as text, and where it came from.
type given struct {
	setting Setting
	value   string
	source  string
}

// Load makes the effective configuration. flags holds the flags that were given,
// by name without dashes; environ is as os.Environ gives it. The error holds
// everything that is wrong, one line each.
func Load(flags map[string]string, environ []string) (*Config, error) {
	fromFlags, flagErr := readFlags(flags)
	fromEnv, envErr := readEnv(environ)
	fromFile, fileErr := readFile(pick(fileSetting, fromFlags, fromEnv))

	c := &Config{}
	errs := []error{flagErr, envErr, fileErr}
	for _, s := range table {
		g := pick(s, fromFlags, fromEnv, fromFile)
		c.given = append(c.given, g)
		if err := s.set(c, g.value); err != nil {
			errs = append(errs, g.refuse(err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if c.AdminDatabase != "" && c.Database == "" {
		return nil, errors.New("admin-database is given without database; allowed: both or database alone")
	}
	if c.Retention > 0 && c.Database == "" {
		return nil, errors.New("retention is given without database: events are dropped on PostgreSQL alone, and SQLite " +
			"would keep them all; allowed: 0, or a database")
	}
	if c.PublicURL == "" {
		c.PublicURL = urlOf(c.Listen)
	}
	return c, nil
}

// pick gives the value of the first source that has one, else the default.
func pick(s Setting, sources ...map[string]given) given {
	for _, source := range sources {
		if g, ok := source[s.Name]; ok {
			return g
		}
	}
	return given{s, s.Default, "default"}
}

// refuse makes the error of a value that is not allowed.
func (g given) refuse(err error) error {
	if g.setting.Secret {
		return fmt.Errorf("%s (%s): %w; allowed: %s", g.setting.Name, g.source, err, g.setting.Allowed)
	}
	value := g.value
	if strings.Contains(value, "://") { // somebody's password may have come to the wrong place
		value = withoutPassword(value)
	}
	return fmt.Errorf("%s (%s): %q: %w; allowed: %s", g.setting.Name, g.source, value, err, g.setting.Allowed)
}

// Print writes every setting with its value and where that came from, secrets masked.
func (c *Config) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "SETTING\tVALUE\tFROM")
	for _, g := range c.given {
		value, source := g.shown(), g.source
		if g.setting.Name == "public-url" && g.value == "" {
			value, source = c.PublicURL, source+", made from listen"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", g.setting.Name, value, source)
	}
	return t.Flush()
}

// Place names where the data is, without a password: the data folder or the database.
func (c *Config) Place() string {
	if c.Database == "" {
		return c.Data
	}
	return withoutPassword(c.Database)
}

// shown is the value for people's eyes: one word or a quoted text.
func (g given) shown() string {
	switch {
	case g.value == "":
		return "-"
	case g.setting.Shown != nil:
		return g.setting.Shown(g.value)
	case g.setting.Secret:
		return "********"
	case strconv.Quote(g.value) != `"`+g.value+`"`:
		return strconv.Quote(g.value)
	}
	return g.value
}

// String is what Print writes, so that no verb of fmt shows a secret.
func (c Config) String() string {
	var b strings.Builder
	_ = c.Print(&b) // a strings.Builder does not fail
	return b.String()
}

// GoString is String.
func (c Config) GoString() string { return c.String() }
