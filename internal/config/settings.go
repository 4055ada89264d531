package config

import (
	"slices"
	"time"
)

// Type says what a setting's text looks like; in the YAML file it also decides
// whether a sequence (list) or a mapping (map) may stand in place of the text.
type Type string

// The types of settings.
const (
	TypeAddress  Type = "address"
	TypePath     Type = "path"
	TypeKey      Type = "key"
	TypeList     Type = "list"
	TypeMap      Type = "map"
	TypeURL      Type = "url"
	TypeWord     Type = "word"
	TypeDuration Type = "duration"
	TypeNumber   Type = "number"
	TypeRate     Type = "rate"
)

// Setting is one row of the table: all that is known of a setting, in one place.
type Setting struct {
	Name    string // of the flag (--name) and of the key in the YAML file
	Env     string // the environment variable; Env+"_FILE" names a file with the value
	Type    Type
	Default string
	Secret  bool                      // the value is never printed, in an error neither
	Shown   func(value string) string // of a secret what may be printed; nil: nothing
	// Repeatable tells that the flag may be given several times, each with items of the list.
	Repeatable bool
	Help       string // one line for --help and the documents
	Allowed    string // what the value may be, in words; every error ends with it

	// set checks a value and puts it into the Config. Its error says what is
	// wrong without repeating the value: a secret's error is shown too.
	set func(c *Config, value string) error
	// bootstrap marks the setting that says where the file is: it cannot come from
	// the file, nor from a variable with _FILE, which would read as something else.
	bootstrap bool
}

// FileEnv names the environment variable that gives a file with the value,
// "" where there is none.
func (s Setting) FileEnv() string {
	if s.bootstrap {
		return ""
	}
	return s.Env + "_FILE"
}

// Settings gives the table, in the order in which people should read it.
// The caller may keep and change the slice.
func Settings() []Setting { return slices.Clone(table) }

// fileSetting is apart because the file must be read before the rest is known.
var fileSetting = Setting{
	Name: "config", Env: "CONSENTD_CONFIG", Type: TypePath, bootstrap: true,
	Help:    "YAML file with settings; flags and environment come before it.",
	Allowed: "the path of a readable YAML file",
	set:     func(c *Config, v string) error { return setPath(&c.File, v, true) },
}

const (
	maxRateCount  = 1_000_000
	maxRateWindow = time.Hour
	rateAllowed   = "COUNT/WINDOW, such as 600/m or 50/10s, with a count from 1 to 1000000 and a window of whole " +
		"seconds, at most an hour"
)

const databaseAllowed = "a URL postgres://user:password@host:port/database, several hosts separated by commas, or " +
	"nothing"

var table = []Setting{
	fileSetting,
	{
		Name: "listen", Env: "CONSENTD_LISTEN", Type: TypeAddress, Default: "127.0.0.1:8080",
		Help: "Address to listen on.",
		Allowed: "host:port, where the host is a name, an IP address or empty (all addresses) and the port a number from 0 " +
			"to 65535",
		set: setListen,
	},
	{
		Name: "data", Env: "CONSENTD_DATA", Type: TypePath, Default: "./data",
		Help:    "Folder of the database; made at the first start.",
		Allowed: "the path of a folder",
		set:     setData,
	},
	{
		Name: "database", Env: "CONSENTD_DATABASE_URL", Type: TypeURL, Secret: true, Shown: withoutPassword,
		Help: "PostgreSQL database to use in place of the data folder. With several hosts the connections are spread " +
			"over them, or with target_session_attrs=read-write go to the one that takes writes. Give it by " +
			"CONSENTD_DATABASE_URL_FILE rather than by a flag where it holds a password.",
		Allowed: databaseAllowed,
		set:     func(c *Config, v string) error { return setDatabase(&c.Database, v) },
	},
	{
		Name: "kek-file", Env: "CONSENTD_KEK_FILE", Type: TypePath,
		Help: "File of the keys that encrypt what the ledger is committed with. Not set: kek in the data folder, made at " +
			"the first start; with a PostgreSQL database it must be given. No server starts from a backup without it.",
		Allowed: "the path of a file, or nothing",
		set:     func(c *Config, v string) error { return setPath(&c.KEKFile, v, true) },
	},
	{
		Name: "journals", Env: "CONSENTD_JOURNALS", Type: TypePath,
		Help: "Folder in which every server keeps what must outlive its store: who was erased, so that a store that is put " +
			"back from a backup forgets them again before it serves, and the newest checkpoints, so that no second history is " +
			"signed. Not set: beside the key file. \"off\": none are kept.",
		Allowed: "the path of a folder, off, or nothing",
		set:     func(c *Config, v string) error { return setPath(&c.Journals, v, true) },
	},
	{
		Name: "admin-database", Env: "CONSENTD_ADMIN_DATABASE_URL", Type: TypeURL, Secret: true, Shown: withoutPassword,
		Help:    "The same database for migrations, locks and partitions; on Citus the coordinator. Not set: database.",
		Allowed: databaseAllowed,
		set:     func(c *Config, v string) error { return setDatabase(&c.AdminDatabase, v) },
	},
	{
		Name: "database-connections", Env: "CONSENTD_DATABASE_CONNECTIONS", Type: TypeNumber, Default: "16",
		Help:    "Most connections to the PostgreSQL database.",
		Allowed: "a number from 2 to 1000",
		set:     func(c *Config, v string) error { return setNumber(&c.DatabaseConnections, v, 2, 1000) },
	},
	{
		Name: "retention", Env: "CONSENTD_RETENTION", Type: TypeNumber, Default: "0",
		Help: "Months after which events are dropped, on PostgreSQL, a whole calendar month at a time; current consents " +
			"stay. 0: never.",
		Allowed: "a number of months from 1 to 1200, or 0",
		set:     func(c *Config, v string) error { return setNumber(&c.Retention, v, 0, 1200) },
	},
	{
		Name: "ledger-name", Env: "CONSENTD_LEDGER_NAME", Type: TypeWord,
		Help: "Name of this instance's ledgers in the checkpoints that it signs, best a host and a path of yours, such as " +
			"consent.example.com/ledger. Not set: consentd.local and an id of the instance. Another name begins a new key in " +
			"each ledger's list of keys.",
		Allowed: "1 to 200 printable ASCII characters without spaces and +, or nothing",
		set:     setLedgerName,
	},
	{
		Name: "ledger-public", Env: "CONSENTD_LEDGER_PUBLIC", Type: TypeWord, Default: "off",
		Help: "Let anybody read checkpoints, proofs and tiles without a key, as auditors and witnesses do. They hold no " +
			"personal data: random-looking hashes and milliseconds.",
		Allowed: "on or off",
		set:     func(c *Config, v string) error { return setSwitch(&c.LedgerPublic, v) },
	},
	{
		Name: "witness", Env: "CONSENTD_WITNESS", Type: TypeList, Repeatable: true,
		Help: "Witness that each ledger's checkpoints are sent to, so that it cosigns them: where it is asked, and its " +
			"public key, as in https://witness.example=witness.example/w1+0a1b2c3d+BCms...m3X. Repeatable. Not set: none.",
		Allowed: "URL=VKEY, separated by commas or line ends, 16 at most and each once, where URL begins with http:// or " +
			"https:// and has neither user nor query, and VKEY is a witness's key",
		set: setWitnesses,
	},
	{
		Name: "person-cache", Env: "CONSENTD_PERSON_CACHE", Type: TypeWord, Default: "on",
		Help:    "Over SQLite, answer from memory where people stand who were asked for lately.",
		Allowed: "on or off",
		set:     func(c *Config, v string) error { return setSwitch(&c.PersonCache, v) },
	},
	{
		Name: "root-key", Env: "CONSENTD_ROOT_KEY", Type: TypeKey, Secret: true,
		Help: "Root key, of 32 characters or more. Not set: one is made and printed at the first start. Give it by " +
			"CONSENTD_ROOT_KEY_FILE rather than by a flag, which others on the machine can see.",
		Allowed: "at least 32 characters of printable ASCII without spaces, or nothing",
		set:     setRootKey,
	},
	{
		Name: "trusted-proxies", Env: "CONSENTD_TRUSTED_PROXIES", Type: TypeList,
		Help:    "Proxies whose X-Forwarded-For or else Forwarded is believed. Not set: nobody's.",
		Allowed: "IP addresses and CIDR ranges, separated by commas",
		set:     setTrustedProxies,
	},
	{
		Name: "webhook-allow", Env: "CONSENTD_WEBHOOK_ALLOW", Type: TypeList,
		Help: "Addresses that webhooks may have though they are not public; http is spoken to them too. Not set: none, and " +
			"https alone.",
		Allowed: "IP addresses and CIDR ranges, separated by commas",
		set:     setWebhookAllow,
	},
	{
		Name: "cors-origins", Env: "CONSENTD_CORS_ORIGINS", Type: TypeList,
		Help:    "Web origins whose pages may call from the browser. Not set: none.",
		Allowed: "exact origins, scheme://host or scheme://host:port, separated by commas",
		set:     setCORSOrigins,
	},
	{
		Name: "rate-limit-key", Env: "CONSENTD_RATE_LIMIT_KEY", Type: TypeRate, Default: "0",
		Help:    "Requests of each API key that one server answers, as in 600/m; the others are 429. 0: any number.",
		Allowed: rateAllowed + ", or 0",
		set:     func(c *Config, v string) error { return setRate(&c.RateKey, v) },
	},
	{
		Name: "rate-limit-organization", Env: "CONSENTD_RATE_LIMIT_ORGANIZATION", Type: TypeRate, Default: "0",
		Help:    "The same for all keys of an organization together.",
		Allowed: rateAllowed + ", or 0",
		set:     func(c *Config, v string) error { return setRate(&c.RateOrganization, v) },
	},
	{
		Name: "rate-limit-failures", Env: "CONSENTD_RATE_LIMIT_FAILURES", Type: TypeRate, Default: "120/m",
		Help: "Wrong credentials from one address (of IPv6, one /64) after which the server looks only at those that it " +
			"knows as good.",
		Allowed: rateAllowed,
		set:     setRateFailures,
	},
	{
		Name: "geo-mmdb", Env: "CONSENTD_GEO_MMDB", Type: TypePath,
		Help:    "Country database (.mmdb) to use in place of the built-in table.",
		Allowed: "the path of an .mmdb file, or nothing",
		set:     func(c *Config, v string) error { return setPath(&c.GeoMMDB, v, true) },
	},
	{
		Name: "regimes", Env: "CONSENTD_REGIMES", Type: TypeMap,
		Help: "Countries whose legal regime differs from the built-in table, as in DE=opt-in,US=opt-out.",
		Allowed: "COUNTRY=opt-in or COUNTRY=opt-out, separated by commas; " +
			"COUNTRY is an ISO 3166-1 code of two letters (UK is read as GB, EL as GR) or UNKNOWN, each once",
		set: setRegimes,
	},
	{
		Name: "public-url", Env: "CONSENTD_PUBLIC_URL", Type: TypeURL,
		Help:    "URL under which clients reach the server: issuer of tokens, base of links. Not set: made from listen.",
		Allowed: "an http or https URL without user, query and fragment",
		set:     setPublicURL,
	},
	{
		Name: "log-level", Env: "CONSENTD_LOG_LEVEL", Type: TypeWord, Default: "info",
		Help:    "Least level that is logged.",
		Allowed: "debug, info, warn or error",
		set:     setLogLevel,
	},
	{
		Name: "log-format", Env: "CONSENTD_LOG_FORMAT", Type: TypeWord, Default: "text",
		Help:    "Form of the log.",
		Allowed: "text or json",
		set:     setLogFormat,
	},
	{
		Name: "shutdown-delay", Env: "CONSENTD_SHUTDOWN_DELAY", Type: TypeDuration, Default: "300ms",
		Help: "How long requests are still taken after SIGTERM, with /readyz red and \"Connection: close\" in every " +
			"answer. Give it longer than a balancer takes to notice.",
		Allowed: "a duration such as 0s, 300ms or 10s, at most 5m",
		set:     func(c *Config, v string) error { return setDuration(&c.ShutdownDelay, v, 0, maxShutdownDelay) },
	},
	{
		Name: "shutdown-timeout", Env: "CONSENTD_SHUTDOWN_TIMEOUT", Type: TypeDuration, Default: "25s",
		Help:    "How long requests in flight may take after that.",
		Allowed: "a duration such as 25s or 1m30s, more than 0 and at most 1h",
		set:     func(c *Config, v string) error { return setDuration(&c.ShutdownTimeout, v, 1, maxShutdownTimeout) },
	},
}
