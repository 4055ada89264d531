package server_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/webtest"
)

// TestTranscripts plays what several protocols do together.
func TestTranscripts(t *testing.T) {
	webtest.Run(t, "testdata/*.txt")
}

// TestSamples proves that each sample succeeds, so that no test of a failure passes for another reason.
func TestSamples(t *testing.T) { onEngines(t, testSamples) }

func testSamples(t *testing.T, e *engine) {
	w := newHarness(t, e)
	for _, c := range calls(t, w.protocols) {
		if res := c.send(w, w.mine, nil, c.body); res.Status != c.status {
			t.Errorf("%s: want %d, got %v", c.name, c.status, res)
		}
	}
}

// TestCredentials proves common.md, "Keys and scopes": whatever is wrong with a key is one and the same 401.
func TestCredentials(t *testing.T) { onEngines(t, testCredentials) }

func testCredentials(t *testing.T, e *engine) {
	w := newHarness(t, e)
	foreign := openHarness(t, emptySQLite(t)) // no copy: its tokens are signed by another key
	foreign.mine = foreign.tenant("okapi")
	before := w.contents()
	for _, c := range calls(t, w.protocols) {
		if c.open {
			continue
		}
		var first *webtest.Response
		for what, v := range badCredentials(w, foreign, c.credential()) {
			change := map[string]string{}
			if v == nil {
				v = w.mine
				for name, value := range c.headers {
					if strings.Contains(value, "{{"+c.credential()+"}}") {
						change[name] = ""
					}
				}
			}
			res := c.send(w, v, change, c.body)
			c.refused(w, res, http.StatusUnauthorized, what)
			if len(res.Body) > 0 && !strings.Contains(string(res.Body), "send an API key ") { // SlashID's 401 is empty
				t.Errorf("%s: %s: the answer does not say how to show a key: %s", c.name, what, res.Body)
			}
			if first == nil {
				first = res
			}
			if a, b := w.comparable(first, nil), w.comparable(res, nil); a != b {
				t.Errorf("%s: %s differs from another bad credential:\n%s\nand:\n%s", c.name, what, a, b)
			}
		}
	}
	w.unchanged("", before, "bad credentials")
}

// badCredentials gives variables in which the credential is bad; nil: it is left out.
func badCredentials(w, foreign *harness, credential string) map[string]vars {
	v := w.mine
	typo := v["key"][:len(v["key"])-1] + "~"
	bad := map[string]vars{"no credentials": nil}
	set := func(what, key, token string) {
		bad[what] = v.with(vars{"key": key, "root": key, "token": token})
	}
	mistyped := v["token"][:len(v["token"])-8] + "AAAAAAAA"
	set("malformed", "nonsense", "nonsense")
	set("mistyped", typo, mistyped)
	set("unknown", forgedKey(v["org"], uuid.NewString()), foreign.mine["token"])
	set("wrong secret", forgedKey(v["org"], v["keyid"]), "e30."+strings.SplitN(v["token"], ".", 2)[1])
	set("unknown organization", forgedKey(uuid.NewString(), v["keyid"]), foreign.mine["token"])
	set("revoked", v["revokedkey"], v["revokedtoken"])
	set("expired", v["expiredkey"], v["expiredtoken"])
	if credential != "token" {
		set("a token", v["token"], "")
	} else {
		set("a key", "", v["key"])
	}
	return bad
}

// TestScopes proves that each call asks for its scopes: without one of them all others together are 403, and they alone
// do.
func TestScopes(t *testing.T) { onEngines(t, testScopes) }

func testScopes(t *testing.T, e *engine) {
	w := newHarness(t, e)
	actor := w.actorOf(w.mine)
	keys := map[string]string{}
	key := func(scopes []consent.Scope) vars {
		name := ""
		for _, scope := range scopes {
			name += string(scope) + " "
		}
		if keys[name] == "" {
			keys[name], _ = w.key(actor, name, scopes...)
		}
		return w.mine.with(vars{"key": keys[name]})
	}
	for _, c := range calls(t, w.protocols) {
		if c.open || c.credential() == "token" {
			continue
		}
		for _, scope := range c.scopes {
			others := slices.DeleteFunc(slices.Clone(consent.AllScopes), func(s consent.Scope) bool { return s == scope })
			v := key(others)
			v["root"] = w.mine["key"]
			before := w.contents()
			c.refused(w, c.send(w, v, nil, c.body), http.StatusForbidden, "without the scope")
			w.unchanged("", before, c.name+" without the scope "+string(scope))
		}
		if len(c.scopes) == 0 { // for the root key alone
			v := key(consent.AllScopes)
			v["root"] = w.mine["key"]
			before := w.contents()
			c.refused(w, c.send(w, v, nil, c.body), http.StatusForbidden, "without the root key")
			w.unchanged("", before, c.name+" without the root key")
			continue
		}
		if res := c.send(w, key(c.scopes), nil, c.body); res.Status != c.status &&
			!strings.HasPrefix(c.route.Method, "DELETE") {
			t.Errorf("%s: with %v alone: %v", c.name, c.scopes, res)
		}
	}
}

var (
	anyTime   = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\b1[7-9]\d{11}\b`)
	anyUUID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyToken  = regexp.MustCompile(`cd_(live|test)_[0-9A-Za-z]+|eyJ[\w-]+\.[\w-]+\.[\w-]+`)
	anyNumber = regexp.MustCompile(`\d{6}|"sequence":\d+`)
)

// comparable gives an answer as text without what differs by nature: its request id, the ids that were
// sent and, where it succeeded, ids, times and numbers that were made.
func (w *harness) comparable(res *webtest.Response, sent vars) string {
	out := *res
	out.Header = res.Header.Clone()
	id := out.Header.Get("X-Request-Id")
	for _, name := range []string{"Date", "X-Request-Id", "Content-Length"} {
		out.Header.Del(name)
	}
	text := strings.ReplaceAll(out.String(), id, "<request>")
	for name, value := range sent {
		text = strings.ReplaceAll(text, value, "<"+name+">")
	}
	if res.Status >= 300 {
		return text
	}
	for _, made := range []*regexp.Regexp{anyToken, anyTime, anyUUID, anyNumber} {
		text = made.ReplaceAllString(text, "<made>")
	}
	return text
}

// TestForgedKeys proves that bad credentials do the good ones no harm: whoever knows a key's id, which is no
// secret, cannot lock its holder out.
func TestForgedKeys(t *testing.T) { onEngines(t, testForgedKeys) }

func testForgedKeys(t *testing.T, e *engine) {
	w := newHarness(t, e)
	for what, forged := range map[string]string{"another organization": forgedKey(w.theirs["org"], w.mine["keyid"]),
		"no organization": forgedKey(uuid.NewString(), w.mine["keyid"]),
		"another secret":  forgedKey(w.mine["org"], w.mine["keyid"])} {
		w.forget()
		for range 2 {
			if res := w.do(w.mine.with(vars{"key": forged}), "GET", "/v1/subjects", bearerKey, ""); res.Status != 401 {
				t.Errorf("%s: %v", what, res)
			}
			if res := w.do(w.mine, "GET", "/v1/subjects", bearerKey, ""); res.Status != 200 {
				t.Errorf("after a forged key with %s the good one is refused: %v", what, res)
			}
		}
	}
}
