package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/witness"
)

const (
	minRootKey         = 32
	maxLedgerName      = 200
	maxShutdownDelay   = 5 * time.Minute
	maxShutdownTimeout = time.Hour
)

func setListen(c *Config, v string) error {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("it is not host:port")
	}
	if strings.ContainsAny(host, " /@%?#") {
		return errors.New("the host is not a name or an IP address")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("the port is not a number from 0 to 65535")
	}
	c.Listen = v
	return nil
}

// urlOf is the address by which a client on this machine reaches listen.
func urlOf(listen string) string {
	host, port, _ := net.SplitHostPort(listen) // checked by setListen
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func setPath(field *string, v string, mayBeEmpty bool) error {
	if v == "" && !mayBeEmpty {
		return errors.New("it is empty")
	}
	if strings.ContainsRune(v, 0) {
		return errors.New("it holds a NUL byte")
	}
	*field = v
	return nil
}

func setData(c *Config, v string) error {
	if strings.Contains(v, "://") {
		return errors.New("a URL is no folder; --database (CONSENTD_DATABASE_URL) names a database")
	}
	return setPath(&c.Data, v, false)
}

func setDatabase(field *string, v string) error {
	if v != "" && !strings.HasPrefix(v, "postgres://") && !strings.HasPrefix(v, "postgresql://") {
		return errors.New("it does not begin with postgres://")
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("it holds a space or a control character; write them as %20 and so on")
	}
	if v != "" {
		authority, _, _ := strings.Cut(v[strings.Index(v, "://")+3:], "/")
		if strings.Count(authority, "@") > 1 {
			return errors.New("an @ in the user's name or password must be written as %40")
		}
		if _, err := pgconn.ParseConfig(v); err != nil { // its own words may hold parts of the password
			return errors.New("it cannot be read: special characters in the user's name and password are written as %40, %3A, " +
				"%2F and so on, ports are numbers, and the parameters are PostgreSQL's")
		}
	}
	*field = v
	return nil
}

// queryPassword finds a password among the parameters of a URL.
var queryPassword = regexp.MustCompile(`(?i)((?:^|[?&])(?:ssl)?password=)[^&]*`)

// withoutPassword is a database's URL for people's eyes.
func withoutPassword(v string) string {
	scheme, rest, _ := strings.Cut(v, "://")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, _, has := strings.Cut(rest[:at], ":")
		if has {
			user += ":********"
		}
		rest = user + rest[at:]
	}
	return scheme + "://" + queryPassword.ReplaceAllString(rest, "$1********")
}

func setNumber(field *int, v string, least, most int) error {
	n, err := strconv.Atoi(v)
	if err != nil {
		return errors.New("it is not a whole number")
	}
	if n < least || n > most {
		return errors.New("it is out of range")
	}
	*field = n
	return nil
}

func setRootKey(c *Config, v string) error {
	if v == "" {
		return nil
	}
	for i := range len(v) {
		if v[i] <= ' ' || v[i] > '~' {
			return fmt.Errorf("character %d is a space or not printable ASCII", i+1)
		}
	}
	if len(v) < minRootKey {
		return fmt.Errorf("it has %d characters", len(v))
	}
	c.RootKey = v
	return nil
}

// items splits a comma list; "" is no item. Spaces around an item do not count.
func items(v string) ([]string, error) {
	if strings.TrimSpace(v) == "" {
		return nil, nil
	}
	list := strings.Split(v, ",")
	for i := range list {
		if list[i] = strings.TrimSpace(list[i]); list[i] == "" {
			return nil, fmt.Errorf("item %d is empty", i+1)
		}
	}
	return list, nil
}

func setTrustedProxies(c *Config, v string) error { return setPrefixes(&c.TrustedProxies, v) }

func setWebhookAllow(c *Config, v string) error { return setPrefixes(&c.WebhookAllow, v) }

func setPrefixes(to *[]netip.Prefix, v string) error {
	list, err := items(v)
	if err != nil {
		return err
	}
	for _, item := range list {
		prefix, err := parsePrefix(item)
		if err != nil {
			return err
		}
		*to = append(*to, prefix)
	}
	return nil
}

// parsePrefix takes an address as the range of that address alone.
func parsePrefix(item string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(item); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(item)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an IP address nor a range", item)
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q must be written as a range of IPv4", item)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q is an address inside a range; the range is %s", item, prefix.Masked())
	}
	return prefix, nil
}

func setCORSOrigins(c *Config, v string) error {
	list, err := items(v)
	if err != nil {
		return err
	}
	for _, item := range list {
		if err := checkOrigin(item); err != nil {
			return err
		}
	}
	c.CORSOrigins = list
	return nil
}

var originForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?$`)

// checkOrigin holds an origin against the form in which browsers send it: the
// server compares the texts, so that anything else would never match.
func checkOrigin(item string) error {
	if strings.Contains(item, "*") {
		return fmt.Errorf("%q: * is refused, because then any web page could act with the token of a person who visits it",
			item)
	}
	lower := strings.TrimSuffix(strings.ToLower(item), "/")
	switch {
	case strings.HasPrefix(lower, "http://"):
		lower = strings.TrimSuffix(lower, ":80")
	case strings.HasPrefix(lower, "https://"):
		lower = strings.TrimSuffix(lower, ":443")
	}
	if !originForm.MatchString(lower) {
		return fmt.Errorf("%q is not scheme://host or scheme://host:port in ASCII, without path", item)
	}
	if item != lower {
		return fmt.Errorf("%q must be written as browsers send it, %s", item, lower)
	}
	return nil
}

// setRate reads COUNT/WINDOW; 0 or nothing is no limit. A window may leave its number out: 600/m is 600/1m.
func setRate(field *Rate, v string) error {
	if v == "" || v == "0" {
		return nil
	}
	count, window, ok := strings.Cut(v, "/")
	if !ok {
		return errors.New("it is not a count and a window with a slash between them")
	}
	r := Rate{}
	if err := setNumber(&r.Count, count, 1, maxRateCount); err != nil {
		return fmt.Errorf("the count: %w", err)
	}
	if window == "s" || window == "m" || window == "h" {
		window = "1" + window
	}
	if err := setDuration(&r.Window, window, time.Second, maxRateWindow); err != nil {
		return fmt.Errorf("the window: %w", err)
	}
	if r.Window%time.Second != 0 {
		return errors.New("the window: it is not whole seconds")
	}
	*field = r
	return nil
}

// setRateFailures refuses to have no limit: whoever may try as often as they like makes the store look up each try.
func setRateFailures(c *Config, v string) error {
	if err := setRate(&c.RateFailures, v); err != nil {
		return err
	}
	if c.RateFailures.Count == 0 {
		return errors.New("it cannot be turned off")
	}
	return nil
}

func setRegimes(c *Config, v string) error {
	list, err := items(v)
	if err != nil {
		return err
	}
	regimes := make(map[string]consent.Regime, len(list))
	for _, item := range list {
		country, regime, err := parseRegime(item)
		if err != nil {
			return err
		}
		if _, twice := regimes[country]; twice {
			return fmt.Errorf("%s is given twice", country)
		}
		regimes[country] = regime
	}
	c.Regimes = regimes
	return nil
}

func parseRegime(item string) (string, consent.Regime, error) {
	name, regime, _ := strings.Cut(item, "=")
	name = strings.TrimSpace(name)
	country := consent.CountryCode(name)
	if country == consent.UnknownCountry && !strings.EqualFold(name, consent.UnknownCountry) {
		return "", "", fmt.Errorf("%q does not begin with a country's code", item)
	}
	switch r := consent.Regime(strings.TrimSpace(regime)); r {
	case consent.OptIn, consent.OptOut:
		return country, r, nil
	}
	return "", "", fmt.Errorf("%q does not name a regime", item)
}

func setPublicURL(c *Config, v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it does not begin with http:// or https://")
	case u.Hostname() == "":
		return errors.New("it names no host")
	case u.User != nil:
		return errors.New("it holds a user")
	case strings.ContainsAny(v, "?#"):
		return errors.New("it holds a query or a fragment")
	case u.String() != v:
		return errors.New("it holds a character that a URL writes with %")
	}
	c.PublicURL = strings.TrimRight(v, "/")
	return nil
}

func setLogLevel(c *Config, v string) error {
	switch v {
	case "debug", "info", "warn", "error":
		return c.LogLevel.UnmarshalText([]byte(v))
	}
	return errors.New("it is not a level")
}

func setSwitch(field *bool, v string) error {
	if v != "on" && v != "off" {
		return errors.New("it is neither on nor off")
	}
	*field = v == "on"
	return nil
}

// setLedgerName takes what may begin the name of a key (C2SP signed-note).
func setLedgerName(c *Config, v string) error {
	if len(v) > maxLedgerName {
		return fmt.Errorf("it has more than %d characters", maxLedgerName)
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '+' }) {
		return errors.New("it holds a character that no name of a key may have")
	}
	c.LedgerName = strings.TrimRight(v, "/")
	return nil
}

// maxWitnesses keeps notes far from the 100 signatures that readers of notes take.
const maxWitnesses = 16

// setWitnesses takes line ends as commas, since a file of keys is best read a line each.
func setWitnesses(c *Config, v string) error {
	list, err := items(strings.ReplaceAll(strings.TrimSpace(v), "\n", ","))
	if err != nil {
		return err
	}
	if len(list) > maxWitnesses {
		return fmt.Errorf("it names %d witnesses", len(list))
	}
	for i, item := range list {
		address, err := witness.Parse(item)
		if err != nil {
			return fmt.Errorf("witness %d: %w", i+1, err)
		}
		for j, other := range c.Witnesses {
			if other.Key == address.Key || other.URL == address.URL || other.Name() == address.Name() {
				return fmt.Errorf("witness %d has the URL or the key of witness %d", i+1, j+1)
			}
		}
		c.Witnesses = append(c.Witnesses, address)
	}
	return nil
}

func setLogFormat(c *Config, v string) error {
	if v != "text" && v != "json" {
		return errors.New("it is not a form of the log")
	}
	c.LogFormat = v
	return nil
}

func setDuration(field *time.Duration, v string, least, most time.Duration) error {
	d, err := time.ParseDuration(v)
	if err != nil {
		return errors.New("it is not a duration")
	}
	if d < least || d > most {
		return errors.New("it is out of range")
	}
	*field = d
	return nil
}
