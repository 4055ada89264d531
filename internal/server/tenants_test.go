package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/webtest"
)

// TestScopesAreDocumented proves that the OpenAPI document says which scopes a call needs, x-scopes, as TestScopes has
// it: of the root key "root", of a person's token none.
func TestScopesAreDocumented(t *testing.T) {
	t.Parallel()
	operations, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, c := range calls(t, listed) {
		operation := c.operation(t)
		called[operation.OperationID] = true
		want := slices.Clone(c.scopes)
		if c.root {
			want = []consent.Scope{"root"}
		}
		slices.Sort(want)
		var got []consent.Scope
		given, there := operation.Extensions["x-scopes"]
		raw, err := json.Marshal(given)
		if err == nil {
			err = json.Unmarshal(raw, &got)
		}
		slices.Sort(got)
		if err != nil || there == c.open || !slices.Equal(got, want) {
			t.Errorf("%s needs %q, and the OpenAPI document has x-scopes %s", c.name, want, raw)
		}
		if open := operation.Security != nil && len(*operation.Security) == 0; open != c.open {
			t.Errorf("%s: open to all is %t, and the OpenAPI document says %t", c.name, c.open, open)
		}
	}
	for name, operation := range operations {
		if !called[operation.OperationID] && !slices.Contains(operation.Tags, "system") {
			t.Errorf("%s is in the OpenAPI document, and no sample calls it", name)
		}
	}
}

// TestTenants proves that ids of another tenant's are answered as ids of nobody's, on every call: "another organization
// gets the same answer as if that organization did not exist". They stand in all places of the sample at once, both
// ways round, and in each place where the OpenAPI document lets something of a tenant's stand.
func TestTenants(t *testing.T) { onEngines(t, testTenants) }

func testTenants(t *testing.T, e *engine) {
	for _, c := range calls(t, listed) {
		if c.open {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newHarness(t, e)
			if used := tenantVars(&c); len(used) > 0 {
				what := "with another tenant's " + strings.Join(used, ", ")
				crossTenant(w, &c, what, w.mine, w.theirs, only(w.theirs, used))
				crossTenant(w, &c, what, w.theirs, w.mine, only(w.mine, used))
			}
			if c.name != c.route.Method+" "+c.route.Pattern || testing.Short() && e != engines[0] {
				return // a second sample has the places of the first
			}
			for _, p := range c.places(t) {
				crossPlace(w, &c, &p)
			}
		})
	}
}

// tenantVars lists the variables of a call that name something of the tenant's.
func tenantVars(c *call) (used []string) {
	whole := c.target + c.body + strings.Join(slices.Collect(maps.Values(c.headers)), " ")
	for _, name := range []string{"org", "project", "person", "doomedperson", "subject", "doomedsubject", "doomedkey",
		"keyid", "type", "device", "email", "phone", "doomedphone", "subjectid", "forgottenid", "contestedid", "restrictedid",
		"otherid", "mergedid", "eventid", "purpose", "jobid", "doomedjob", "import", "doomedimport",
		"webhookid", "doomedhook", "deliveryid"} {
		if strings.Contains(whole, "{{"+name+"}}") {
			used = append(used, name)
		}
	}
	return used
}

func only(v vars, names []string) vars {
	out := vars{}
	for _, name := range names {
		out[name] = v[name]
	}
	return out
}

// nobodysOwn gives to something of a tenant's the like that nobody has, always the same.
func nobodysOwn(v vars, value string) string {
	switch {
	case value == v["phone"]:
		return phoneOf("nobody " + v["word"])
	case strings.Contains(value, v["word"]):
		return strings.Replace(value, v["word"], "nobody", 1)
	}
	return uuid.NewSHA1(uuid.Nil, []byte(value)).String()
}

// crossTenant calls with our credentials and something of theirs, and with the like that nobody has.
func crossTenant(w *harness, c *call, what string, ours, theirs, foreign vars) *webtest.Response {
	w.Helper()
	absent := vars{}
	for name, value := range foreign {
		absent[name] = nobodysOwn(theirs, value)
	}
	got := c.crossed(w, what, ours, theirs, foreign)
	want := c.send(w, ours.with(absent), nil, c.body)
	if a, b := w.comparable(got, foreign), w.comparable(want, absent); a != b {
		w.Errorf("%s %s differs from ids that nobody has:\n%s\nand:\n%s", c.name, what, a, b)
	}
	return got
}

// crossed calls with our credentials and something of theirs: nothing of theirs is changed or shown, and where the
// call is refused nothing at all is changed.
func (c *call) crossed(w *harness, what string, ours, theirs, foreign vars) *webtest.Response {
	w.Helper()
	before := w.contents()
	got := c.send(w, ours.with(foreign), nil, c.body)
	if got.Status >= 500 {
		w.Errorf("%s %s: %v", c.name, what, got)
	}
	spared := theirs["org"]
	if got.Status >= 400 {
		spared = "" // nobody's rows may change
		if err := checkShape(c.protocol, got); err != nil {
			w.Errorf("%s %s: %v in %v", c.name, what, err, got)
		}
	}
	w.unchanged(spared, before, c.name+" "+what)
	noLeak(w, c, got, what, theirs, foreign)
	return got
}

// crossPlace calls with our credentials and something of theirs in one place.
func crossPlace(w *harness, sample *call, p *place) {
	w.Helper()
	c, what := sample.with(w, *p), "with another tenant's value in "+p.String()
	switch p.holds {
	case "Idempotency-Key":
		crossIdempotencyKey(w, &c, what)
	case "If-Match":
		tag := w.do(w.theirs, http.MethodGet, sample.target, sample.headers, "").Header.Get("ETag")
		c.crossed(w, what, w.mine, w.theirs, vars{"there": tag})
		w.doomAgain()
	case "cursor":
		list := *sample
		list.target, _, _ = strings.Cut(sample.target, "?")
		cursor := w.value(list.limited(w, w.theirs), http.StatusOK, "nextCursor")
		got := crossTenant(w, &c, what, w.mine, w.theirs, vars{"there": cursor})
		c.refused(w, got, http.StatusBadRequest, what)
	default:
		foreign := vars{"there": p.escaped(w.theirs[p.holds])}
		if w.theirs[p.holds] == "" {
			w.Fatalf("%s: the harness has no %s", c.name, p.holds)
		}
		got := crossTenant(w, &c, what, w.mine, w.theirs, foreign)
		if c.protocol == "native" && p.namesOne() && got.Status != http.StatusNotFound &&
			(p.in == "path" || got.Status != http.StatusUnprocessableEntity) {
			w.Errorf("%s %s: want 404, or 422 where it is not in the path, got %v", c.name, what, got)
		}
	}
}

// ids are the variables whose values name one thing of one tenant; identifiers may be known to several.
var ids = []string{"org", "project", "doomedkey", "keyid", "type", "subjectid", "eventid", "purpose", "doomedjob",
	"webhookid", "doomedhook", "deliveryid", "import", "doomedimport"}

// namesOne tells whether what stands in a place is one thing that is there; a purpose's key in a body makes one.
func (p *place) namesOne() bool {
	return slices.Contains(ids, p.holds) && !(p.in == "body" && p.name == "key")
}

// limited asks for the first item of a list.
func (c *call) limited(w *harness, v vars) *webtest.Response {
	w.Helper()
	return w.do(v, c.route.Method, c.target+"?limit=1", c.headers, "")
}

// crossIdempotencyKey has both tenants make a call with one Idempotency-Key: each is done.
func crossIdempotencyKey(w *harness, c *call, what string) {
	w.Helper()
	if c.root {
		return // there is one root key only
	}
	once := vars{"there": "of both " + c.route.Method}
	if res := c.send(w, w.theirs.with(once), nil, c.body); res.Status != c.status {
		w.Errorf("%s: the other tenant's own call: want %d, got %v", c.name, c.status, res)
	}
	got := c.crossed(w, what, w.mine, w.theirs, once)
	if got.Status != c.status || got.Header.Get("Idempotency-Replayed") != "" {
		w.Errorf("%s %s: want %d, not replayed, got %v", c.name, what, c.status, got)
	}
	w.doomAgain()
}

// noLeak fails where an answer has anything of the other tenant's but what was sent.
func noLeak(w *harness, c *call, res *webtest.Response, what string, theirs, sent vars) {
	w.Helper()
	text := strings.ToLower(res.String())
	for _, value := range sent {
		text = strings.ReplaceAll(text, strings.ToLower(value), "")
	}
	for name, value := range theirs {
		if name != "root" && strings.Contains(text, strings.ToLower(value)) {
			w.Errorf("%s %s shows their %s: %v", c.name, what, name, res)
		}
	}
}
