package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/witness"
)

const (
	secret   = "the-secret-root-key-0123456789-abcdef"
	tooShort = "short-secret"
)

// write makes a file in a folder of the test's own and gives its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	got, err := Load(nil, []string{"PATH=/bin", "CONSENTD_LISTEN=", "CONSENTD_ROOT_KEY_FILE="})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Listen: "127.0.0.1:8080", Data: "./data", DatabaseConnections: 16, PersonCache: true,
		Regimes: map[string]consent.Regime{}, RateFailures: Rate{120, time.Minute},
		PublicURL: "http://127.0.0.1:8080", LogLevel: slog.LevelInfo, LogFormat: "text",
		ShutdownDelay: 300 * time.Millisecond, ShutdownTimeout: 25 * time.Second,
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}), cmp.Comparer(samePrefix)); d != "" {
		t.Errorf("Load (-want +got):\n%s", d)
	}
}

func samePrefix(a, b netip.Prefix) bool { return a == b }

// The keys of two witnesses, and of a ledger.
const (
	witnessKey      = "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
	otherWitnessKey = "witness.example/w2+74de6d26+BN1+hNAQrtKKQW6Sj1DEwJrA+UqPWzRlSBaL3bYc23Jj"
	ledgerKey       = "consentd.example/1+0ce4b12f+Ad1+hNAQrtKKQW6Sj1DEwJrA+UqPWzRlSBaL3bYc23Jj"
)

// TestWitnesses are given by a flag, by a variable or by a file, a line each.
func TestWitnesses(t *testing.T) {
	one, two := "https://w.example="+witnessKey, "http://localhost:7380/w="+otherWitnessKey
	for name, load := range map[string]func() (*Config, error){
		"flag":     func() (*Config, error) { return Load(map[string]string{"witness": one + ", " + two}, nil) },
		"variable": func() (*Config, error) { return Load(nil, []string{"CONSENTD_WITNESS=" + one + "\n" + two + "\n"}) },
		"file": func() (*Config, error) {
			return Load(nil, []string{"CONSENTD_WITNESS_FILE=" + write(t, "witnesses", one+"\r\n"+two+"\n")})
		},
	} {
		c, err := load()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Witnesses) != 2 || c.Witnesses[0].Key != witnessKey || c.Witnesses[1].URL != "http://localhost:7380/w" {
			t.Errorf("%s: %+v", name, c.Witnesses)
		}
	}
	for _, password := range []string{"https://ada:giraffe@w.example=" + witnessKey,
		one + ",https://ada:giraffe@v.example=" + otherWitnessKey} {
		_, err := Load(map[string]string{"witness": password}, nil)
		if err == nil || strings.Contains(err.Error(), "giraffe") || !strings.Contains(err.Error(), "a password") {
			t.Errorf("%v", err)
		}
	}
}

const everything = `
# all that a file may hold
listen: "[::1]:9000"
data: /var/lib/consentd
database: postgres://ada:lovelace@db.example/consent
admin-database: postgres://coordinator.example/consent
database-connections: 40
retention: 120
ledger-name: ledger.example/consent/
ledger-public: on
witness:
  - https://witness.example/=` + witnessKey + `
  - http://localhost:7380=` + otherWitnessKey + `
person-cache: off
root-key: ` + secret + `
trusted-proxies: [10.0.0.0/8, "::1", "::ffff:192.0.2.1"]
webhook-allow: [10.1.2.0/24, "fd00::/8"]
cors-origins:
  - https://www.example.com
  - capacitor://localhost
  - http://[::1]:3000
rate-limit-key: 600/m
rate-limit-organization: 50/10s
rate-limit-failures: 30/1h
geo-mmdb: country.mmdb
regimes: {NO: opt-out, us: opt-in, UNKNOWN: opt-out, UK: opt-out, el: opt-out}
public-url: https://consent.example.com/base/
log-level: debug
log-format: json
shutdown-delay: 0s
shutdown-timeout: 1m30s
`

func TestEverySettingFromTheFile(t *testing.T) {
	path := write(t, "consentd.yaml", everything)
	got, err := Load(nil, []string{"CONSENTD_CONFIG=" + path})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: path, Listen: "[::1]:9000", Data: "/var/lib/consentd", RootKey: secret,
		Database: "postgres://ada:lovelace@db.example/consent", AdminDatabase: "postgres://coordinator.example/consent",
		DatabaseConnections: 40, Retention: 120, LedgerName: "ledger.example/consent", LedgerPublic: true,
		Witnesses: []*witness.Address{{URL: "https://witness.example", Key: witnessKey},
			{URL: "http://localhost:7380", Key: otherWitnessKey}},
		TrustedProxies: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.1/32"),
		},
		WebhookAllow: []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("fd00::/8")},
		CORSOrigins:  []string{"https://www.example.com", "capacitor://localhost", "http://[::1]:3000"},
		RateKey:      Rate{600, time.Minute}, RateOrganization: Rate{50, 10 * time.Second}, RateFailures: Rate{30, time.Hour},
		GeoMMDB: "country.mmdb",
		Regimes: map[string]consent.Regime{
			"NO": consent.OptOut, "US": consent.OptIn, "UNKNOWN": consent.OptOut,
			"GB": consent.OptOut, "GR": consent.OptOut,
		},
		PublicURL: "https://consent.example.com/base",
		LogLevel:  slog.LevelDebug, LogFormat: "json", ShutdownTimeout: 90 * time.Second,
	}
	unexported := cmpopts.IgnoreUnexported(Config{}, witness.Address{})
	if d := cmp.Diff(want, got, unexported, cmp.Comparer(samePrefix)); d != "" {
		t.Errorf("Load (-want +got):\n%s", d)
	}
}

// TestPrecedence gives one setting by ever more sources; the strongest wins and is named.
func TestPrecedence(t *testing.T) {
	file := write(t, "consentd.yaml", "log-level: debug\ndata: from-file\n")
	value := write(t, "data", "  from-value-file\n")
	for _, tc := range []struct {
		name   string
		flags  map[string]string
		env    []string
		data   string
		source string
	}{
		{"default", nil, nil, "./data", "default"},
		{"file", map[string]string{"config": file}, nil, "from-file", file + " line 2"},
		{"environment", map[string]string{"config": file}, []string{"CONSENTD_DATA=from-env"}, "from-env",
			"environment CONSENTD_DATA"},
		{"value file", nil, []string{"CONSENTD_CONFIG=" + file, "CONSENTD_DATA_FILE=" + value}, "from-value-file",
			"environment CONSENTD_DATA_FILE, file " + value},
		{"flag", map[string]string{"data": "from-flag"}, []string{"CONSENTD_CONFIG=" + file, "CONSENTD_DATA=from-env"},
			"from-flag", "flag --data"},
		{"the last of two variables", nil, []string{"CONSENTD_DATA=one", "CONSENTD_DATA=two"}, "two",
			"environment CONSENTD_DATA"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Load(tc.flags, tc.env)
			if err != nil {
				t.Fatal(err)
			}
			if c.Data != tc.data {
				t.Errorf("data = %q, want %q", c.Data, tc.data)
			}
			if line := printed(c, "data"); !strings.HasSuffix(line, "  "+tc.source) {
				t.Errorf("printed %q, want the source %q", line, tc.source)
			}
		})
	}
}

// printed gives the line of a setting as Print writes it.
func printed(c *Config, name string) string {
	for line := range strings.Lines(c.String()) {
		if strings.HasPrefix(line, name+" ") {
			return strings.TrimSuffix(line, "\n")
		}
	}
	return ""
}

func TestPublicURLFromListen(t *testing.T) {
	for listen, want := range map[string]string{
		":80":                "http://localhost:80",
		"0.0.0.0:80":         "http://localhost:80",
		"[::]:80":            "http://localhost:80",
		"[2001:db8::1]:8443": "http://[2001:db8::1]:8443",
		"box.example:1":      "http://box.example:1",
	} {
		c, err := Load(map[string]string{"listen": listen}, nil)
		if err != nil {
			t.Errorf("%s: %v", listen, err)
			continue
		}
		if c.PublicURL != want {
			t.Errorf("%s: public URL %q, want %q", listen, c.PublicURL, want)
		}
	}
}

var refusedValues = []struct{ name, value, reason string }{
	{"listen", "", "it is not host:port"},
	{"listen", "8080", "it is not host:port"},
	{"listen", "http://a:80", "it is not host:port"},
	{"listen", "a b:80", "the host is not a name"},
	{"listen", "a:http", "the port is not a number"},
	{"listen", "a:65536", "the port is not a number"},
	{"data", "", "it is empty"},
	{"data", "a\x00b", "NUL"},
	{"geo-mmdb", "a\x00b", "NUL"},
	{"trusted-proxies", "10.0.0.1,,10.0.0.2", "item 2 is empty"},
	{"trusted-proxies", "10.0.0.256", `"10.0.0.256" is neither`},
	{"trusted-proxies", "proxy.example", "neither an IP address nor a range"},
	{"trusted-proxies", "fe80::1%eth0", "neither an IP address nor a range"},
	{"trusted-proxies", "10.0.0.1/8", "the range is 10.0.0.0/8"},
	{"trusted-proxies", "::ffff:10.0.0.0/104", "as a range of IPv4"},
	{"webhook-allow", "10.0.0.1/8", "the range is 10.0.0.0/8"},
	{"webhook-allow", "localhost", "neither an IP address nor a range"},
	{"cors-origins", "*", "* is refused, because"},
	{"cors-origins", "https://*.example.com", "* is refused, because"},
	{"cors-origins", "null", "is not scheme://host"},
	{"cors-origins", "www.example.com", "is not scheme://host"},
	{"cors-origins", "https://a.example/path", "is not scheme://host"},
	{"cors-origins", "https://u@a.example", "is not scheme://host"},
	{"cors-origins", "https://bücher.example", "in ASCII"},
	{"cors-origins", "https://A.example", "as browsers send it, https://a.example"},
	{"cors-origins", "https://a.example/", "as browsers send it, https://a.example"},
	{"cors-origins", "https://a.example:443", "as browsers send it, https://a.example"},
	{"cors-origins", "http://a.example:80", "as browsers send it, http://a.example"},
	{"rate-limit-key", "600", "it is not a count and a window with a slash"},
	{"rate-limit-key", "0/m", "the count: it is out of range"},
	{"rate-limit-key", "1000001/m", "the count: it is out of range"},
	{"rate-limit-key", "many/m", "the count: it is not a whole number"},
	{"rate-limit-organization", "10/", "the window: it is not a duration"},
	{"rate-limit-organization", "10/d", "the window: it is not a duration"},
	{"rate-limit-organization", "10/500ms", "the window: it is out of range"},
	{"rate-limit-organization", "10/61m", "the window: it is out of range"},
	{"rate-limit-organization", "10/1500ms", "the window: it is not whole seconds"},
	{"rate-limit-failures", "0", "it cannot be turned off"},
	{"rate-limit-failures", "", "it cannot be turned off"},
	{"regimes", "DE", "does not name a regime"},
	{"regimes", "DE=maybe", "does not name a regime"},
	{"regimes", "DEU=opt-in", "does not begin with a country's code"},
	{"regimes", "=opt-in", "does not begin with a country's code"},
	{"regimes", "ZZ=opt-in", "does not begin with a country's code"},
	{"regimes", "EU=opt-in", "does not begin with a country's code"},
	{"regimes", "UK=opt-in,gb=opt-out", "GB is given twice"},
	{"regimes", "GR=opt-in,el=opt-in", "GR is given twice"},
	{"regimes", "DE=opt-in,de=opt-out", "DE is given twice"},
	{"public-url", "consent.example.com", "does not begin with http:// or https://"},
	{"public-url", "ftp://a.example", "does not begin with http:// or https://"},
	{"public-url", "https://", "names no host"},
	{"public-url", "https://u@a.example", "holds a user"},
	{"public-url", "https://a.example/?x", "a query"},
	{"public-url", "https://a.example/#x", "a fragment"},
	{"public-url", "https://a.example/a b", "writes with %"},
	{"public-url", "https://[::1", "not a URL"},
	{"ledger-name", "two words", "a character that no name of a key may have"},
	{"ledger-name", "a+b", "a character that no name of a key may have"},
	{"ledger-name", "bücher.example", "a character that no name of a key may have"},
	{"ledger-name", strings.Repeat("a", 201), "more than 200 characters"},
	{"ledger-public", "true", "neither on nor off"},
	{"witness", "https://w.example", "witness 1: it is not a URL and a key"},
	{"witness", "https://w.example=" + witnessKey[1:], "witness 1: what follows the first = is no public key"},
	{"witness", "https://w.example=" + ledgerKey, "witness 1: the key is one that signs ledgers"},
	{"witness", "ftp://w.example=" + witnessKey, "does not begin with http"},
	{"witness", "https://w.example?=" + witnessKey, "holds a query"},
	{"witness", "https://w.example=" + witnessKey + ",", "item 2 is empty"},
	{"witness", "https://w.example=" + witnessKey + ",https://v.example=" + witnessKey,
		"witness 2 has the URL or the key of witness 1"},
	{"witness", "https://w.example=" + witnessKey + ",https://w.example/=" + otherWitnessKey,
		"witness 2 has the URL or the key of witness 1"},
	{"witness", strings.Repeat("https://w.example="+witnessKey+",", 16) + "x", "it names 17 witnesses"},
	{"person-cache", "false", "neither on nor off"},
	{"log-level", "INFO+2", "not a level"},
	{"log-format", "xml", "not a form"},
	{"shutdown-delay", "5", "not a duration"},
	{"shutdown-delay", "-1ms", "out of range"},
	{"shutdown-delay", "301s", "out of range"},
	{"shutdown-timeout", "25", "not a duration"},
	{"shutdown-timeout", "0s", "out of range"},
	{"shutdown-timeout", "-1s", "out of range"},
	{"shutdown-timeout", "61m", "out of range"},
}

// TestRefusedValues gives each value as a flag; the error must hold the setting,
// the place, the value, the reason and what is allowed.
func TestRefusedValues(t *testing.T) {
	for _, tc := range refusedValues {
		t.Run(tc.name+"="+tc.value, func(t *testing.T) {
			c, err := Load(map[string]string{tc.name: tc.value}, nil)
			if err == nil {
				t.Fatalf("taken as %v", c)
			}
			s, _ := settingNamed(tc.name)
			mustHold(t, err.Error(), tc.name+" (flag --"+tc.name+")", fmt.Sprintf("%q", tc.value), tc.reason,
				"allowed: "+s.Allowed)
		})
	}
}

func mustHold(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	path := write(t, "consentd.yaml", "data: x\nlog-format: xml\nlogs: y\n")
	_, err := Load(map[string]string{"listen": "x", "lisen": ":80"}, []string{
		"CONSENTD_CONFIG=" + path, "CONSENTD_LOG_LEVEL=loud", "CONSENTD_DATE=x", "CONSENTD_GEO_MMDB=a",
		"CONSENTD_GEO_MMDB_FILE=b",
	})
	if err == nil {
		t.Fatal("taken")
	}
	lines := strings.Split(err.Error(), "\n")
	want := []string{
		"flag --lisen: no such setting; consentd config shows all",
		"environment CONSENTD_DATE: no such setting; consentd config shows all",
		"geo-mmdb (environment): both CONSENTD_GEO_MMDB and CONSENTD_GEO_MMDB_FILE are set",
		`"logs" (` + path + " line 3): no such setting",
		"listen (flag --listen): \"x\"",
		"log-level (environment CONSENTD_LOG_LEVEL): \"loud\"",
		"log-format (" + path + " line 2): \"xml\"",
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%v", len(lines), len(want), err)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %q, want it to begin with %q", i, lines[i], want[i])
		}
	}
}

// TestVariablesOfClients: who has set them for commands that call a server may start one.
func TestVariablesOfClients(t *testing.T) {
	if _, err := Load(nil, []string{"CONSENTD_URL=http://127.0.0.1:1", "CONSENTD_KEY=x",
		"CONSENTD_KEY_FILE=y"}); err != nil {
		t.Error(err)
	}
}

func TestUnknownVariables(t *testing.T) {
	for _, variable := range []string{
		"CONSENTD_LISTN=x", "CONSENTD_ROOTKEY=x", "CONSENTD_ROOTKEY_FILE=x", "CONSENTD_CONFIG_FILE=x",
		"CONSENTD_DATABASE=postgres://", "CONSENTD_DATABASE_FILE=x", "CONSENTD_TRUSTED_PROXY=",
		"CONSENTD_CORS_ORIGIN=https://", "CONSENTD_PORT=8080", "CONSENTD_FOO=8080", "CONSENTD_X_FILE=8080",
	} {
		_, err := Load(nil, []string{variable})
		if err == nil {
			t.Errorf("%s: taken", variable)
			continue
		}
		name, _, _ := strings.Cut(variable, "=")
		mustHold(t, err.Error(), "environment "+name+": no such setting; consentd config shows all")
	}
}

// TestFolderThatIsAURL: who puts a database where the folder belongs is told so, and its password is not shown.
func TestFolderThatIsAURL(t *testing.T) {
	_, err := Load(nil, []string{"CONSENTD_DATA=postgres://user:giraffe@host/db"})
	if err == nil {
		t.Fatal("taken")
	}
	mustHold(t, err.Error(), "data (environment CONSENTD_DATA)", "user:********@host",
		"--database (CONSENTD_DATABASE_URL)")
	if strings.Contains(err.Error(), "giraffe") {
		t.Errorf("it shows the password: %v", err)
	}
}

func TestIgnoredVariables(t *testing.T) {
	_, err := Load(nil, []string{
		"CONSENTD_TEST_ANYTHING=x", "consentd_listen=x", "OTHER=x",
		"CONSENTD_SERVICE_HOST=10.0.0.7", "CONSENTD_SERVICE_PORT=80", "CONSENTD_SERVICE_PORT_HTTP=80",
		"CONSENTD_PORT=tcp://10.0.0.7:80", "CONSENTD_PORT_80_TCP=tcp://10.0.0.7:80", "CONSENTD_PORT_80_TCP_ADDR=10.0.0.7",
		"CONSENTD_PORT_80_TCP_PORT=80", "CONSENTD_PORT_80_TCP_PROTO=tcp", "CONSENTD_CANARY_PORT=tcp://10.0.0.8:80",
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRefusedFiles(t *testing.T) {
	for _, tc := range []struct{ name, content, reason string }{
		{"tag", "data: !x y", "data (FILE line 1): a value begins with !, & or *"},
		{"anchor", "data: &x y", "data (FILE line 1): a value begins with !, & or *"},
		{"alias", "data: *x", "file FILE: a value begins with !, & or *"},
		{"alias in a list", "cors-origins: [*x]", "file FILE: a value begins with !, & or *"},
		{"tag in a list", "cors-origins: [!x y]", "a value begins with !, & or *"},
		{"unknown setting", "log_level: info", `"log_level" (FILE line 1): no such setting; consentd config shows all`},
		{"twice", "data: a\nlisten: :80\ndata: b", "data (FILE line 3): given before on FILE line 1"},
		{"another file", "config: other.yaml", "config (FILE line 1): the file cannot name another file"},
		{"sequence for one value", "listen: [a]", "listen (FILE line 1): it is not one plain value"},
		{"mapping for a list", "cors-origins: {a: b}", "cors-origins (FILE line 1): it is not one plain value"},
		{"sequence for a mapping", "regimes: [DE=opt-in]", "regimes (FILE line 1): it is not one plain value"},
		{"nested", "cors-origins:\n- [a]", "cors-origins (FILE line 1): line 2 is not one plain value; " +
			"allowed: exact origins"},
		{"null in a list", "trusted-proxies: [10.0.0.1, ~]", "trusted-proxies (FILE line 1): line 1 is not one plain value"},
		{"nothing in a list", "cors-origins:\n-", "cors-origins (FILE line 1): line 2 is not one plain value"},
		{"null as a name", "regimes: {~: opt-in}", "regimes (FILE line 1): line 1 is not one plain value"},
		{"null as a member", "regimes:\n  DE:", "regimes (FILE line 1): line 2 is not one plain value"},
		{"merged mappings", "regimes: {<<: {DE: opt-in}}", "regimes (FILE line 1): line 1 is not one plain value"},
		{"a name twice", "regimes: {DE: opt-in, DE: opt-out}", "regimes (FILE line 1)"},
		{"no value", "data:", "data (FILE line 1): it has no value"},
		{"text", "just words", "it does not begin with a setting"},
		{"sequence", "- a", "line 1: it does not begin with a setting"},
		{"two documents", "data: a\n---\ndata: b", "more than one document"},
		{"broken", "data: [", "config (flag --config): file FILE: yaml: line 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := write(t, "consentd.yaml", tc.content)
			c, err := Load(map[string]string{"config": path}, nil)
			if err == nil {
				t.Fatalf("taken as %v", c)
			}
			mustHold(t, err.Error(), strings.ReplaceAll(tc.reason, "FILE", path))
		})
	}
}

func TestFilesWithoutSettings(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing yet\n", "---\n", "{}\n"} {
		if _, err := Load(map[string]string{"config": write(t, "consentd.yaml", content)}, nil); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestMissingFiles(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	empty := write(t, "empty", " \n")
	_, err := Load(map[string]string{"config": nowhere}, []string{"CONSENTD_DATA_FILE=" + nowhere,
		"CONSENTD_ROOT_KEY_FILE=" + empty})
	if err == nil {
		t.Fatal("taken")
	}
	mustHold(t, err.Error(),
		"config (flag --config): open "+nowhere,
		"data (environment CONSENTD_DATA_FILE): open "+nowhere,
		"root-key (environment CONSENTD_ROOT_KEY_FILE, file "+empty+"): the file is empty")
}

func TestRefusedRootKeys(t *testing.T) {
	long := strings.Repeat("k", minRootKey)
	for value, reason := range map[string]string{
		tooShort:      "it has 12 characters",
		long + " ":    "character 33 is a space",
		long + "\x7f": "not printable ASCII",
		"ü" + long:    "character 1 is",
	} {
		_, err := Load(map[string]string{"root-key": value}, nil)
		if err == nil {
			t.Errorf("%q: taken", value)
			continue
		}
		mustHold(t, err.Error(), "root-key (flag --root-key): ", reason, "allowed: at least 32 characters")
	}
}

// TestSecretsAreNeverPrinted gives the root key from every source, good and bad,
// and looks for it in all that comes out.
func TestSecretsAreNeverPrinted(t *testing.T) {
	for _, key := range []string{secret, tooShort} {
		for name, tc := range map[string]struct {
			flags map[string]string
			env   []string
		}{
			"flag":             {flags: map[string]string{"root-key": key}},
			"unknown flag":     {flags: map[string]string{"rootkey": key}},
			"environment":      {env: []string{"CONSENTD_ROOT_KEY=" + key}},
			"unknown variable": {env: []string{"CONSENTD_ROOTKEY=" + key}},
			"value file":       {env: []string{"CONSENTD_ROOT_KEY_FILE=" + write(t, "k", key)}},
			"secret as path":   {env: []string{"CONSENTD_ROOT_KEY_FILE=" + key}},
			"both":             {env: []string{"CONSENTD_ROOT_KEY_FILE=" + key, "CONSENTD_ROOT_KEY=" + key}},
			"file":             {env: []string{"CONSENTD_CONFIG=" + write(t, "y", "root-key: "+key)}},
			"file, unknown":    {env: []string{"CONSENTD_CONFIG=" + write(t, "y", "root_key: "+key)}},
			"file, alias":      {env: []string{"CONSENTD_CONFIG=" + write(t, "y", "root-key: *"+key)}},
			"file, tag":        {env: []string{"CONSENTD_CONFIG=" + write(t, "y", "root-key: !"+key)}},
			"file, anchor":     {env: []string{"CONSENTD_CONFIG=" + write(t, "y", "root-key: &"+key)}},
			"file, sequence":   {env: []string{"CONSENTD_CONFIG=" + write(t, "y", "root-key: ["+key+"]")}},
			"file, broken":     {env: []string{"CONSENTD_CONFIG=" + write(t, "y", "root-key: {"+key)}},
			"file, reserved":   {env: []string{"CONSENTD_CONFIG=" + write(t, "y", "root-key: @"+key)}},
			"file, no space":   {env: []string{"CONSENTD_CONFIG=" + write(t, "y", "root-key:"+key)}},
			"file, no space, more": {env: []string{"CONSENTD_CONFIG=" +
				write(t, "y", "data: x\nroot-key:"+key+"\nlisten: :80")}},
		} {
			t.Run(name, func(t *testing.T) {
				c, err := Load(tc.flags, tc.env)
				out := fmt.Sprintf("%v\n", err)
				if err == nil {
					out = everyForm(t, c)
				}
				if strings.Contains(out, key) {
					t.Errorf("the secret is in %s", out)
				}
			})
		}
	}
}

// everyForm formats a Config in the ways that a careless line of code may choose.
func everyForm(t *testing.T, c *Config) string {
	t.Helper()
	var b strings.Builder
	if err := c.Print(&b); err != nil {
		t.Error(err)
	}
	mustHold(t, b.String(), "root-key", "********")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&b, verb+verb, c, *c)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "config", c, "value", *c)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "config", c, "value", *c)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Error(err)
	}
	return b.String() + string(encoded)
}

func TestPrint(t *testing.T) {
	c, err := Load(map[string]string{"root-key": secret, "data": "my\tdata"}, []string{"CONSENTD_LOG_LEVEL=warn"})
	if err != nil {
		t.Fatal(err)
	}
	want := `SETTING                  VALUE                  FROM
config                   -                      default
listen                   127.0.0.1:8080         default
data                     "my\tdata"             flag --data
database                 -                      default
kek-file                 -                      default
journals                 -                      default
admin-database           -                      default
database-connections     16                     default
retention                0                      default
ledger-name              -                      default
ledger-public            off                    default
witness                  -                      default
person-cache             on                     default
root-key                 ********               flag --root-key
trusted-proxies          -                      default
webhook-allow            -                      default
cors-origins             -                      default
rate-limit-key           0                      default
rate-limit-organization  0                      default
rate-limit-failures      120/m                  default
geo-mmdb                 -                      default
regimes                  -                      default
public-url               http://127.0.0.1:8080  default, made from listen
log-level                warn                   environment CONSENTD_LOG_LEVEL
log-format               text                   default
shutdown-delay           300ms                  default
shutdown-timeout         25s                    default
`
	if d := cmp.Diff(want, c.String()); d != "" {
		t.Errorf("Print (-want +got):\n%s", d)
	}
}

// TestTable holds the rows to what the rest relies on.
func TestTable(t *testing.T) {
	for _, s := range Settings() {
		want := envPrefix + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
		if strings.HasSuffix(s.Name, "database") { // others' tools call such a variable so
			want += "_URL"
		}
		if s.Env != want {
			t.Errorf("%s: environment %s, want %s", s.Name, s.Env, want)
		}
		if s.Type == "" || s.Help == "" || s.Allowed == "" {
			t.Errorf("%s: type, help or allowed is missing", s.Name)
		}
		if err := s.set(&Config{}, s.Default); err != nil {
			t.Errorf("%s: the default %q is refused: %v", s.Name, s.Default, err)
		}
	}
}

// TestDatabasePasswordsAreNeverPrinted shows where a database is, and not how one gets in.
func TestDatabasePasswordsAreNeverPrinted(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://ada:giraffe@db.example:5432/consent": "postgres://ada:********@db.example:5432/consent",
		"postgres://ada:g%40iraffe@a:1,b:2/consent":      "postgres://ada:********@a:1,b:2/consent",
		"postgres://ada@db/consent?password=giraffe&x=1": "postgres://ada@db/consent?password=********&x=1",
		"postgresql:///consent?sslpassword=giraffe":      "postgresql:///consent?sslpassword=********",
		"postgres://ada@db/consent?Password=giraffe":     "postgres://ada@db/consent?Password=********",
		"postgres://db/consent":                          "postgres://db/consent",
	} {
		c, err := Load(map[string]string{"database": url, "admin-database": url}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Place() != want {
			t.Errorf("the place is %s, want %s", c.Place(), want)
		}
		for _, text := range []string{c.String(), fmt.Sprintf("%+v %#v", c, c)} {
			if strings.Contains(text, "iraffe") || !strings.Contains(text, want) {
				t.Errorf("it prints\n%s", text)
			}
		}
	}
	for _, bad := range []string{"mysql://ada:giraffe@db/x", "giraffe", "postgres://ada:gi raffe@db/x",
		"postgres://ada:g@iraffe@db/x", "postgres://ada:g%raffe@db/x", "postgres://ada:giraffe@db:port/x",
		"postgres://ada:giraffe@db/x?sslmode=foo"} {
		_, err := Load(map[string]string{"database": bad}, nil)
		if err == nil || strings.Contains(err.Error(), "raffe") || !strings.Contains(err.Error(), "postgres://") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := Load(map[string]string{"retention": "3"}, nil); err == nil {
		t.Error("retention is taken where nothing would be dropped")
	}
	if _, err := Load(map[string]string{"admin-database": "postgres://db/x"}, nil); err == nil {
		t.Error("an admin-database alone is taken")
	}
}
