package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/logtest"
	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/sealing"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/server"
	"github.com/consentd/consentd/internal/service"
	"github.com/consentd/consentd/internal/webtest"
)

// issuer signs tokens of every harness, so that one harness's look right to another.
const issuer = "http://consentd.test"

// harness is the whole server over a store in a file, with two tenants in it. Every
// value of the first has "giraffe" in it, every one of the second "zebra", so that
// whatever shows where it must not is found by a word.
type harness struct {
	testing.TB
	svc       *service.Service
	options   server.Options
	server    *server.Server
	protocols []protocol.Protocol
	store     *faultyStore
	stores    []service.Store // of all servers on the database
	metrics   *server.Metrics
	log       *logtest.Buffer
	database  database
	rows      map[string]string // as last read by contents, when the database had this state
	state     string
	url       string
	urls      []string // of all servers on the database
	calls     atomic.Int64
	mine      vars
	theirs    vars
	ago       atomic.Int64              // how far the service's clock is behind, in ns
	stopped   atomic.Pointer[time.Time] // where it stands; nil or zero: it goes on
	end       func() error
}

// vars are what samples name: ids, keys and values of one tenant.
type vars map[string]string

// unique makes each {{n}} another number.
var unique atomic.Int64

// expand puts the variables into a template; what is unknown stays and so fails the call.
func (v vars) expand(s string) string {
	if !strings.Contains(s, "{{") {
		return s
	}
	pairs := []string{"{{n}}", fmt.Sprintf("%06d", unique.Add(1)),
		"{{basic}}", base64.StdEncoding.EncodeToString([]byte("ops@shop.example:" + v["key"]))}
	for name, value := range v {
		pairs = append(pairs, "{{"+name+"}}", value)
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// with gives a copy that has other values.
func (v vars) with(others vars) vars {
	out := maps.Clone(v)
	maps.Copy(out, others)
	return out
}

// newHarness gives a harness of its own to a test: a copy of one that was seeded once, which is quicker.
func newHarness(t testing.TB, e *engine) *harness {
	t.Helper()
	g := e.copied(t, func(g database) error {
		w := openHarness(t, g)
		e.mine, e.theirs = w.tenant("giraffe"), w.tenant("zebra")
		return w.end()
	})
	if e.theirs == nil {
		t.Fatal("the database that all tests copy could not be seeded; see the first failure")
	}
	w := startHarness(t, g, sealing.SigningKey{}) // so that only requests come to the store
	w.mine, w.theirs = maps.Clone(e.mine), maps.Clone(e.theirs)
	return w
}

// openHarness starts the server on a database, which signs checkpoints.
func openHarness(t testing.TB, g database) *harness {
	t.Helper()
	return startHarness(t, g, sealingtest.SigningKey())
}

func startHarness(t testing.TB, g database, signing sealing.SigningKey) *harness {
	t.Helper()
	w := &harness{TB: t, log: &logtest.Buffer{}, database: g}
	real, err := g.open()
	w.must(err)
	w.stores = []service.Store{real}
	w.store = &faultyStore{Store: real, release: make(chan struct{})}
	places, err := geo.New(geo.Options{})
	w.must(err)
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.metrics = server.NewMetrics("test", func() error { return w.svc.Ready() })
	w.svc = service.New(service.Options{Store: w.store, Keys: sealingtest.Ring(), SigningKey: signing,
		Places: places, Log: log, Observe: w.metrics.Batch, Checkpointed: w.metrics.Checkpoint,
		Unreadable: w.metrics.Unreadable, Clock: w.now})
	w.svc.UseRootKey(webtest.RootKey)
	w.options = server.Options{Service: w.svc, Places: places, Log: log, Metrics: w.metrics, PublicURL: issuer,
		CORSOrigins: []string{"https://shop.example"}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	w.protocols = server.Protocols(w.svc, w.options)
	w.server = server.New(w.options)
	listener := httptest.NewServer(w.server)
	w.url, w.urls = listener.URL, []string{listener.URL}
	w.end = sync.OnceValue(func() error {
		listener.Close()
		w.svc.Close()
		return errors.Join(real.Close(), g.leave())
	})
	t.Cleanup(func() { w.must(w.end()) })
	return w
}

// now is the service's clock.
func (w *harness) now() time.Time {
	if at := w.stopped.Load(); at != nil && !at.IsZero() {
		return *at
	}
	return time.Now().Add(-time.Duration(w.ago.Load()))
}

func (w *harness) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// tenant makes an organization with keys of every sort and somebody whom all protocols know.
func (w *harness) tenant(word string) vars {
	w.Helper()
	ctx := context.Background()
	root, err := w.svc.Authenticate(ctx, webtest.RootKey)
	w.must(err)
	made, err := w.svc.CreateOrganization(ctx, root, consent.NewOrganization{Name: word + " Traders",
		PrimaryDomain: word + ".example",
		Details:       json.RawMessage(`{}`)}, consent.Idempotency{})
	w.must(err)
	actor, err := root.In(made.ID)
	w.must(err)
	v := vars{"word": word, "root": webtest.RootKey, "org": made.ID.String(), "project": made.Projects[0].ID.String(),
		"email": "one." + word + "@shop.example", "phone": phoneOf(word), "device": uuid.NewString()}
	v["key"], v["keyid"] = w.key(actor, "everything", consent.AllScopes...)
	_, v["doomedkey"] = w.key(actor, "doomed", consent.LedgerRead)
	v["jobid"], v["doomedjob"] = w.addJob(actor), w.addJob(actor)
	w.seed(v)
	w.deadCredentials(actor, v)
	return v
}

// addJob puts a job on record that nobody does, and gives its id.
func (w *harness) addJob(actor consent.Actor) string {
	w.Helper()
	j := consent.Job{Organization: actor.Organization, ID: consent.ID(uuid.Must(uuid.NewV7())), Kind: "sample",
		RunAt: time.Now().Add(time.Hour).Truncate(time.Microsecond), CreatedAt: time.Now().Truncate(time.Microsecond)}
	w.must(w.stores[0].Update(context.Background(), j.Organization, func(tx service.Tx) error {
		return tx.Append(context.Background(), &consent.Changes{Jobs: []consent.Job{j}})
	}))
	return j.ID.String()
}

func phoneOf(word string) string {
	return fmt.Sprintf("+3161%07d", crc32.ChecksumIEEE([]byte(word))%1e7)
}

// key makes a key of the actor's organization; a key has its scopes in an order of its own.
func (w *harness) key(actor consent.Actor, name string, scopes ...consent.Scope) (text, id string) {
	w.Helper()
	request := consent.NewKey{Name: name, Scopes: append([]consent.Scope(nil), scopes...)}
	made, err := w.svc.CreateKey(context.Background(), actor, request, consent.Idempotency{})
	w.must(err)
	return made.Text, made.ID.String()
}

// actorOf gives the root key's actor within a tenant's organization.
func (w *harness) actorOf(v vars) consent.Actor {
	w.Helper()
	root, err := w.svc.Authenticate(context.Background(), webtest.RootKey)
	w.must(err)
	id, ok := consent.ParseID(v["org"])
	if !ok {
		w.Fatalf("no id: %s", v["org"])
	}
	actor, err := root.In(id)
	w.must(err)
	return actor
}

// seed makes people and things through the protocols themselves.
func (w *harness) seed(v vars) {
	w.Helper()
	slash := map[string]string{"SlashID-OrgID": "{{org}}", "SlashID-API-Key": "{{key}}"}
	person := func(email string) string {
		body := `{"handles":[{"type":"email_address","value":"` + email + `"}],"attributes":{"note":"{{word}}"}}`
		return w.value(w.do(v, "POST", "/persons", slash, body), 201, "result", "person_id")
	}
	v["person"], v["doomedperson"] = person("{{email}}"), person("doomed.{{email}}")
	v["token"] = w.mint(v)
	v["subject"], v["doomedsubject"] = v["word"]+"-1", v["word"]+"-2"
	w.makeSubject(v, "subject")
	w.makeSubject(v, "doomedsubject")
	v["subjectid"] = w.value(w.do(v, "POST", nativeSubjects+":lookup", bearerKey,
		`{"identifiers":{"userId":"{{subject}}"}}`), 200, "id")
	w.makeForgotten(v, "{{word}}-3")
	v["doomedphone"] = phoneOf("doomed " + v["word"])
	w.attachPhone(v)
	for _, name := range []string{"other", "merged"} {
		w.do(v, "POST", "/consent-hub/consent", basicKey,
			`{"consents":[{"key":"marketing","granted":true},{"key":"analytics","granted":true}],`+
				`"email":"`+name+`.{{email}}","locale":"NL"}`)
		v[name+"id"] = w.value(w.do(v, "POST", nativeSubjects+":lookup", bearerKey,
			`{"identifiers":{"email":"`+name+`.{{email}}"}}`), 200, "id")
	}
	w.merge(v)
	types := w.do(v, "POST", concordProject+"/consent-types", concordKey,
		`{"category":"custom","subcategory":"{{word}}","label":"{{word}}","name":"{{word}} letters"}`)
	v["type"] = w.value(types, 201, "id")
	v["eventid"] = w.value(w.do(v, "POST", concordProject+"/consent-events", concordKey,
		`{"items":[{"userId":"{{person}}","email":"{{email}}",`+
			`"phoneNumber":"{{phone}}","concordId":"{{device}}","consentType":"{{type}}","consentState":"accepted",`+
			`"consentAction":"user_click"}]}`), 201, "items", "0", "id")
	v["purpose"] = v["word"] + "-letters" // of the default project, with that key
	w.do(v, "POST", "/consent-hub/consent", basicKey,
		`{"consents":[{"key":"{{purpose}}","granted":true}],"email":"{{email}}","locale":"NL"}`)
	w.do(v, "PATCH", nativePurpose, bearerKey, `{"legalText":"Of {{word}}"}`) // so that it has two versions
	w.do(v, "PUT", "/persons/{{person}}/consent/gdpr", slash, `{"consent_levels":["marketing","analytics"]}`)
	v["import"], v["doomedimport"] = w.makeImport(v), w.makeImport(v)
	w.value(w.do(v, "POST", nativeImports+"/{{import}}/lines?from=1", map[string]string{"Authorization": "Bearer {{key}}"},
		"no\nJSON"), 200, "nextLine")
	v["webhookid"] = w.makeWebhook(v)
	v["doomedhook"] = w.makeWebhook(v)
	for range 2 {
		v["deliveryid"] = w.value(w.do(v, "POST", nativeWebhook+"/ping", bearerKey, ""), 202, "id")
	}
	w.awaitCheckpoint(v)
}

func (w *harness) makeImport(v vars) string {
	w.Helper()
	return w.value(w.do(v, "POST", nativeImports, bearerKey, `{"source":"{{word}}"}`), 201, "id")
}

// makeWebhook makes a webhook that nothing is sent to.
func (w *harness) makeWebhook(v vars) (id string) {
	w.Helper()
	return w.value(w.do(v, "POST", nativeWebhooks, bearerKey, `{"url":"https://{{word}}.example/in","events":["*"]}`), 201,
		"id")
}

// awaitCheckpoint waits until a checkpoint covers the event that samples ask for a proof of.
func (w *harness) awaitCheckpoint(v vars) {
	w.Helper()
	for wait := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		res := w.do(v, "GET", nativeLedger+"/proof?event={{eventid}}", bearerKey, "")
		if res.Status == http.StatusOK {
			return
		}
		if time.Since(wait) > 10*time.Second {
			w.Fatalf("no checkpoint was signed: %v", res)
		}
	}
}

func (w *harness) makeSubject(v vars, variable string) {
	w.Helper()
	w.value(w.do(v, "POST", "/v1/subjects/user/{{"+variable+"}}", bearerKey, `{"data":{"note":"{{word}}"}}`), 201,
		"version")
}

// makeForgotten makes somebody who is to be erased, somebody who is to be restricted, and somebody who is.
func (w *harness) makeForgotten(v vars, name string) {
	w.Helper()
	for _, who := range []string{"forgotten", "contested", "restricted"} {
		v[who] = v.expand(name) + "-" + who
		w.makeSubject(v, who)
		v[who+"id"] = w.value(w.do(v, "POST", nativeSubjects+":lookup", bearerKey,
			`{"identifiers":{"userId":"{{`+who+`}}"}}`), 200, "id")
	}
	w.value(w.do(v, "POST", nativeSubjects+"/{{restrictedid}}/restrict", bearerKey, `{}`), 200, "restrictedAt")
}

func (w *harness) attachPhone(v vars) {
	w.Helper()
	res := w.do(v, "POST", nativeSubjects+"/{{subjectid}}/identifiers", bearerKey,
		`{"kind":"phone","value":"{{doomedphone}}"}`)
	if res.Status != http.StatusNoContent {
		w.Fatalf("attach: %v", res)
	}
}

func (w *harness) merge(v vars) {
	w.Helper()
	w.value(w.do(v, "POST", nativeSubjects+"/{{subjectid}}/merge", bearerKey, `{"subjectId":"{{mergedid}}"}`), 200,
		"subject", "id")
}

// doomAgain makes anew what the samples of DELETE remove, under names that nobody had, and merges who was taken apart.
func (w *harness) doomAgain() {
	w.Helper()
	w.mine["doomedsubject"] = w.mine.expand("{{word}}-{{n}}")
	w.makeSubject(w.mine, "doomedsubject")
	w.mine["doomedperson"] = w.mine["doomedsubject"] // a person whom another protocol knows by a user_id is one here
	_, w.mine["doomedkey"] = w.key(w.actorOf(w.mine), "doomed again", consent.LedgerRead)
	w.mine["doomedjob"] = w.addJob(w.actorOf(w.mine))
	w.mine["doomedimport"] = w.makeImport(w.mine)
	w.makeForgotten(w.mine, "{{word}}-forgotten-{{n}}")
	w.mine["doomedphone"] = phoneOf(w.mine.expand("doomed {{n}}"))
	w.attachPhone(w.mine)
	w.merge(w.mine)
	w.mine["doomedhook"] = w.makeWebhook(w.mine)
}

// mint makes a token of the tenant's person.
func (w *harness) mint(v vars) string {
	w.Helper()
	headers := map[string]string{"SlashID-OrgID": "{{org}}", "SlashID-API-Key": "{{key}}"}
	return w.value(w.do(v, "POST", "/persons/{{person}}/mint-token", headers, ""), 201, "result")
}

// deadCredentials makes keys that were revoked and that expired, and a token of each.
func (w *harness) deadCredentials(actor consent.Actor, v vars) {
	w.Helper()
	ctx := context.Background()
	text, id := w.key(actor, "revoked", consent.AllScopes...)
	v["revokedkey"], v["revokedkeyid"], v["revokedtoken"] = text, id, w.mint(v.with(vars{"key": text}))
	revoked, _ := consent.ParseID(id)
	w.must(w.svc.RevokeKey(ctx, actor, revoked, consent.Idempotency{}))

	w.ago.Store(int64(2 * time.Hour))
	made, err := w.svc.CreateKey(ctx, actor, consent.NewKey{Name: "expired",
		Scopes:    append([]consent.Scope(nil), consent.AllScopes...),
		ExpiresAt: time.Now().Add(-time.Hour)}, consent.Idempotency{})
	w.must(err)
	v["expiredkey"], v["expiredtoken"] = made.Text, w.mint(v.with(vars{"key": made.Text}))
	w.ago.Store(0)
}

// do sends one request over loopback TCP, to each server one after another; target, headers and body are templates.
func (w *harness) do(v vars, method, target string, headers map[string]string, body string) *webtest.Response {
	w.Helper()
	return w.doAt(int(w.calls.Add(1)), v, method, target, headers, body)
}

// doAt sends one request to the server of that number, modulo how many there are.
func (w *harness) doAt(server int, v vars, method, target string, headers map[string]string,
	body string) *webtest.Response {
	w.Helper()
	filled := map[string]string{}
	for name, value := range headers {
		filled[name] = v.expand(value)
	}
	url := w.urls[server%len(w.urls)]
	res := webtest.DoURL(w, url, method, v.expand(target), filled, v.expand(body))
	w.mayKeep(method+" "+target, res)
	return res
}

// mayKeep fails where an answer says too little of what its reader may do with it (common.md, Places): no cache keeps
// one, but of the public keys, and 503 and 429 say when to come again.
func (w *harness) mayKeep(what string, res *webtest.Response) {
	w.Helper()
	want := "no-store"
	if what == "GET /.well-known/jwks.json" && res.Status == http.StatusOK {
		want = "public, max-age=3600"
	}
	if got := res.Header.Values("Cache-Control"); len(got) != 1 || got[0] != want {
		w.Errorf("%s: Cache-Control %q in %v", what, got, res)
	}
	later := res.Status == http.StatusServiceUnavailable || res.Status == http.StatusTooManyRequests ||
		res.Status == http.StatusConflict && (strings.Contains(what, "/ledger/") || strings.Contains(what, "/evidence"))
	got := res.Header.Values("Retry-After")
	if later && (len(got) != 1 || !wholeSeconds.MatchString(got[0])) || !later && len(got) > 0 {
		w.Errorf("%s: Retry-After %q in %v", what, got, res)
	}
}

var wholeSeconds = regexp.MustCompile(`^[1-9][0-9]*$`)

// value finds a member of a JSON answer that must have that status.
func (w *harness) value(res *webtest.Response, status int, path ...string) string {
	w.Helper()
	if res.Status != status {
		w.Fatalf("want %d, got %v", status, res)
	}
	var at any
	if err := json.Unmarshal(res.Body, &at); err != nil {
		w.Fatalf("%v in %v", err, res)
	}
	for _, name := range path {
		object, ok := at.(map[string]any)
		if list, listed := at.([]any); listed && name == "0" && len(list) > 0 {
			at = list[0]
			continue
		}
		if !ok || object[name] == nil {
			w.Fatalf("no %v in %v", path, res)
		}
		at = object[name]
	}
	return fmt.Sprint(at)
}

// contents gives every row of every table as text, read beside the store. It reads again only where
// somebody has committed since; the result is not to be changed.
func (w *harness) contents() map[string]string {
	w.Helper()
	state, err := w.database.state()
	w.must(err)
	if w.rows == nil || state == "" || state != w.state {
		w.rows, err = w.database.read()
		w.must(err)
		for _, table := range []string{"ledger_checkpoints", "ledger_keys", "ledger_cosignatures"} { // no call writes them
			delete(w.rows, table)
		}
		w.state = state
	}
	if len(w.rows) < 10 {
		w.Fatalf("the database has %d tables only", len(w.rows))
	}
	return w.rows
}

// rowsOf leaves the rows of one organization; of all where none is named.
func rowsOf(organization, rows string) string {
	if organization == "" {
		return rows
	}
	var out strings.Builder
	for row := range strings.Lines(rows) {
		if strings.Contains(row, strings.ReplaceAll(organization, "-", "")) {
			out.WriteString(row)
		}
	}
	return out.String()
}

// unchanged fails where a table has other rows than before; an organization narrows it to its own.
func (w *harness) unchanged(organization string, before map[string]string, what string) {
	w.Helper()
	for table, rows := range w.contents() {
		if was, is := rowsOf(organization, before[table]), rowsOf(organization, rows); was != is {
			w.Errorf("%s: wrote to %s; of its rows these are new:\n%s", what, table, newRows(was, is))
		}
	}
}

// newRows shows the first few rows that were not there before.
func newRows(before, after string) (out string) {
	for row := range strings.Lines(after) {
		if !strings.Contains(before, row) && len(out) < 400 {
			out += row[:min(len(row), 200)] + "\n"
		}
	}
	return out
}

// forgedKey makes a key in the right form, checksum included, that nobody was given.
func forgedKey(organization, id string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	encode := func(b []byte, width int) string {
		n, digit, out := new(big.Int).SetBytes(b), new(big.Int), make([]byte, width)
		for i := width - 1; i >= 0; i-- {
			n.DivMod(n, big.NewInt(62), digit)
			out[i] = digits[digit.Int64()]
		}
		return string(out)
	}
	o, k := uuid.MustParse(organization), uuid.MustParse(id)
	text := "cd_live_" + encode(append(o[:], k[:]...), 43) + encode([]byte("a secret nobody has, 24 b")[:24], 33)
	sum := crc32.ChecksumIEEE([]byte(text))
	return text + encode([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}, 6)
}

// lines gives the log's lines so far as JSON objects.
func (w *harness) lines() (lines []map[string]any) {
	w.Helper()
	for line := range strings.Lines(w.log.String()) {
		var fields map[string]any
		w.must(json.Unmarshal([]byte(line), &fields))
		lines = append(lines, fields)
	}
	return lines
}

var _ http.Handler = (*server.Server)(nil)
