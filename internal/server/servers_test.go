package server_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/webtest"
)

// onThree runs a test on three servers over one database.
func onThree(t *testing.T, test func(t *testing.T, w *harness)) {
	t.Helper()
	sideBySide(t, engines[1:], func(t *testing.T, e *engine) { test(t, threeServers(t, e)) })
}

// threeServers gives a harness with two further servers on its database. Each request goes to the next of
// the three, so that whoever writes and then asks twice asks the two others. Their clocks differ, as clocks do.
func threeServers(t testing.TB, e *engine) *harness {
	t.Helper()
	w := newHarness(t, e)
	for _, ago := range []time.Duration{90 * time.Second, -2 * time.Second} {
		other := openHarness(t, w.database)
		other.ago.Store(int64(ago))
		w.urls, w.stores = append(w.urls, other.url), append(w.stores, other.stores...)
	}
	return w
}

// onTheOthers asks the two servers that did not get the last request.
func (w *harness) onTheOthers(ask func()) {
	w.Helper()
	for range len(w.urls) - 1 {
		ask()
	}
}

// TestThreeServersOneTruth is TestOnePersonOneTruth on three servers.
func TestThreeServersOneTruth(t *testing.T) { onThree(t, onePersonOneTruth) }

// TestThreeServersOnce proves that a write with one Idempotency-Key is done once and answered the same, whichever
// servers it is sent to, one after the other or at once.
func TestThreeServersOnce(t *testing.T) {
	onThree(t, func(t *testing.T, w *harness) {
		for _, c := range calls(t, listed) {
			if c.writes() {
				w.doomAgain()
				c.replays(w)
				w.doomAgain()
				c.atOnce(w)
			}
		}
		w.audit()
	})
}

// TestThreeServersAllAtOnce has clients of two tenants make all calls, in orders of their own, on three servers: each
// is answered as if it were alone.
func TestThreeServersAllAtOnce(t *testing.T) {
	onThree(t, func(t *testing.T, w *harness) {
		var clients sync.WaitGroup
		for i := range 8 {
			all := calls(t, listed)
			rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
			v := []vars{w.mine, w.theirs}[i%2]
			clients.Go(func() {
				for _, c := range all {
					res := c.send(w, v, map[string]string{"Idempotency-Key": "all at once {{n}}"}, c.body)
					// another client was quicker
					gone := c.route.Method == http.MethodDelete && res.Status == http.StatusNotFound ||
						strings.HasSuffix(c.route.Pattern, "/unmerge") && res.Status == http.StatusConflict ||
						strings.HasSuffix(c.route.Pattern, "/export") && res.Status == http.StatusConflict || // merged meanwhile
						strings.HasSuffix(c.route.Pattern, "/evidence") && res.Status == http.StatusNotFound // unmerged: has no decision
					if res.Status != c.status && !gone {
						t.Errorf("%s: want %d, got %v", c.name, c.status, res)
					}
				}
			})
		}
		clients.Wait()
		w.audit()
	})
}

// TestThreeServersSeeAtOnce proves that what one server has acknowledged the others answer with.
func TestThreeServersSeeAtOnce(t *testing.T) {
	onThree(t, func(t *testing.T, w *harness) {
		v := w.mine
		for round := range 6 { // each server writes, and its neighbours have read before
			levels := [][]string{{"marketing"}, {"analytics", "tracking"}}[round%2]
			w.do(v, "PUT", "/persons/{{person}}/consent/gdpr", slashKey,
				`{"consent_levels":["`+strings.Join(levels, `","`)+`"]}`)
			w.onTheOthers(func() {
				res := w.do(v, "GET", "/persons/{{person}}/consent/gdpr", slashKey, "")
				if got := levelsIn(w, res); !slices.Equal(got, levels) {
					t.Errorf("round %d: levels are %v, put were %v", round, got, levels)
				}
			})
			choice := fmt.Sprint(round%2 == 0)
			w.do(v, "POST", "/consent-hub/consent", basicKey, `{"consents":[{"key":"generalMarketingOptIn",`+
				`"granted":`+choice+`}],"email":"{{email}}","locale":"NL"}`)
			w.onTheOthers(func() {
				res := w.do(v, "POST", "/consent-hub/consent-config/get", basicKey, `{"email":"{{email}}"}`)
				if got := w.value(res, 200, "usersChoiceOnMarketingCommunicationOptIn"); got != choice {
					t.Errorf("round %d: the choice is %s, made was %s", round, got, choice)
				}
			})
			made := w.do(v, "POST", concordProject+"/consent-events", concordKey,
				`{"items":[{"userId":"{{person}}","category":"privacy_setting",`+
					`"subcategory":"functional","consentState":"accepted","consentAction":"user_click"}]}`)
			w.value(made, 201, "count")
			w.onTheOthers(func() {
				all := history(w, "userId="+v["person"])
				if last := all[len(all)-1]; !strings.Contains(string(made.Body), last.ID) {
					t.Errorf("round %d: the last event is %v, made was %v", round, last, made)
				}
			})
			w.savedAtOnce(round)
			w.keyAtOnce(round)
		}
	})
}

// savedAtOnce makes, changes and removes a record, and looks on the other servers after each.
func (w *harness) savedAtOnce(round int) {
	w.Helper()
	path := fmt.Sprint("/v1/subjects/user/seen-", round)
	w.do(w.mine, "POST", path, bearerKey, `{"data":{"a":1}}`)
	w.onTheOthers(func() { w.value(w.do(w.mine, "GET", path, bearerKey, ""), 200, "data", "a") })
	w.do(w.mine, "PATCH", path, bearerKey, `{"data":{"b":1}}`)
	w.onTheOthers(func() {
		if got := w.value(w.do(w.mine, "GET", path, bearerKey, ""), 200, "version"); got != "2" {
			w.Errorf("round %d: the record has version %s", round, got)
		}
	})
	w.do(w.mine, "DELETE", path, bearerKey, "")
	w.onTheOthers(func() {
		if res := w.do(w.mine, "GET", path, bearerKey, ""); res.Status != 404 {
			w.Errorf("round %d: a record that was removed: %v", round, res)
		}
	})
}

// keyAtOnce makes an organization and a key in it, and uses them on the other servers.
func (w *harness) keyAtOnce(round int) {
	w.Helper()
	made := w.do(w.mine, "POST", "/privacy-v1/organizations", concordRoot,
		fmt.Sprintf(`{"name":"Shop %d","primaryDomain":"shop.example","privacyPolicyUrl":"https://shop.example/privacy"}`,
			round))
	v := w.mine.with(vars{"org": w.value(made, 201, "id"), "project": w.value(made, 201, "defaultProjectId")})
	w.onTheOthers(func() { w.value(w.do(v, "GET", concordOrg, concordRoot, ""), 200, "id") })
	key := w.do(v, "POST", nativeKeys, map[string]string{"Authorization": "Bearer {{root}}",
		"Content-Type": "application/json"},
		`{"name":"first","scopes":["consents:read","organizations:read"]}`)
	v["key"] = w.value(key, 201, "key")
	w.onTheOthers(func() { w.value(w.do(v, "GET", concordOrg, concordKey, ""), 200, "id") })
}

func levelsIn(w *harness, res *webtest.Response) []string {
	w.Helper()
	var names []string
	for _, name := range []string{"none", "necessary", "analytics", "marketing", "retargeting", "tracking"} {
		if strings.Contains(string(res.Body), fmt.Sprintf("%q:%q", "consent_level", name)) {
			names = append(names, name)
		}
	}
	return names
}

// atOnce sends one request from each of many clients at once, and counts the answers by status.
func (w *harness) atOnce(method, target string, headers map[string]string, body string, allowed ...int) map[int]int {
	w.Helper()
	const clients = 24
	var all sync.WaitGroup
	answers := make([]*webtest.Response, clients)
	for i := range clients {
		all.Go(func() { answers[i] = w.do(w.mine.with(vars{"i": fmt.Sprint(i)}), method, target, headers, body) })
	}
	all.Wait()
	count := map[int]int{}
	for _, res := range answers {
		if count[res.Status]++; !slices.Contains(allowed, res.Status) {
			w.Errorf("%s %s: of many at once one got %v", method, target, res)
		}
	}
	return count
}

// TestThreeServersMakeOnce has many clients make the same thing on three servers at once: it is made once, and what
// each of them adds counts.
func TestThreeServersMakeOnce(t *testing.T) {
	onThree(t, func(t *testing.T, w *harness) {
		saved := w.atOnce("POST", "/v1/subjects/user/several", bearerKey, `{"data":{"m{{i}}":1}}`, 200, 201)
		if saved[201] != 1 {
			t.Errorf("one record was made %d times", saved[201])
		}
		for version := 1; version <= saved[200]+saved[201]; version++ {
			res := w.do(w.mine, "GET", fmt.Sprint("/v1/subjects/user/several?version=", version), bearerKey, "")
			if n := strings.Count(string(res.Body), `"m`); res.Status != 200 || n != version {
				t.Errorf("version %d has %d members: %v", version, n, res)
			}
		}
		people := w.atOnce("POST", "/persons", slashKey, `{"handles":[{"type":"email_address","value":"several.{{email}}"}]}`,
			201, 409)
		if people[201] != 1 {
			t.Errorf("one person was made %d times", people[201])
		}
		// A purpose that is made on first use, by as many people; a visitor who signs in; and names that get slugs.
		w.atOnce("POST", "/consent-hub/consent", basicKey, `{"consents":[{"key":"several news","granted":true}],`+
			`"email":"hub{{i}}.{{email}}","locale":"NL"}`, 202)
		w.atOnce("POST", concordProject+"/consent-events", concordKey,
			`{"items":[{"userId":"several user","concordId":"3ad0a2f6-5d0c-4ab3-9c7d-b0d1a9c1a111",`+
				`"category":"privacy_setting","subcategory":"marketing","consentState":"accepted",`+
				`"consentAction":"user_click"}]}`, 201)
		w.atOnce("POST", "/privacy-v1/organizations", concordRoot,
			`{"name":"Several","primaryDomain":"shop.example","privacyPolicyUrl":"https://shop.example/privacy"}`, 201)
		w.audit()
	})
}

// TestThreeServersVocabulary proves that a project and a purpose that one server made are known to the others at
// once, though they had the organization in memory.
func TestThreeServersVocabulary(t *testing.T) {
	onThree(t, func(t *testing.T, w *harness) {
		remind := func() {
			for range w.urls {
				w.value(w.do(w.mine, "POST", "/v1/subjects/user/{{subject}}", bearerKey, `{"data":{}}`), 200, "version")
			}
		}
		decide := `{"items":[{"userId":"{{person}}","consentType":"{{fresh}}","consentState":"accepted",` +
			`"consentAction":"user_click"}]}`
		v := w.mine.with(nil)
		for range w.urls {
			remind()
			made := w.do(v, "POST", concordOrg+"/projects", concordKey, `{"name":"Site {{n}}"}`)
			v["project"] = w.value(made, 201, "id")
			w.onTheOthers(func() { w.value(w.do(v, "GET", concordProject+"/consent-types", concordKey, ""), 200, "count") })
			remind()
			made = w.do(v, "POST", concordProject+"/consent-types", concordKey,
				`{"category":"custom","subcategory":"fresh","label":"l{{n}}","name":"Fresh {{n}}"}`)
			v["fresh"] = w.value(made, 201, "id")
			w.onTheOthers(func() {
				w.value(w.do(v, "POST", concordProject+"/consent-events", concordKey, decide), 201,
					"count")
			})
			w.onTheOthers(func() {
				if res := w.do(v, "GET", concordProject+"/consent-types", concordKey, ""); !strings.Contains(string(res.Body),
					v["fresh"]) {
					t.Errorf("a list lacks what was made before: %v", res)
				}
			})
		}
	})
}
