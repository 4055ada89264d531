package server_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/webtest"
)

// What a reader says of a person and a purpose, besides other states: "never", where nobody said anything, and "no",
// for any state but accepted.
const (
	yes   = "accepted"
	no    = "no"
	never = "never"
)

// decisionWriter makes decisions by one call of one protocol. Its templates have, beside a person's variables,
// those of purposeVars and of stateVars.
type decisionWriter struct {
	name, method, target string
	headers              map[string]string
	body                 string
	status               int
	purposes             []string
	states               []consent.State // that it can say
	overwrites           bool            // a no is withdrawn, and recorded only where it takes something back
}

// decisionReader asks one protocol what a person said.
type decisionReader struct {
	name, method, target string
	headers              map[string]string
	body                 string
	purposes             []string
	read                 func(w *harness, res *webtest.Response, purpose string) string
}

const (
	nativeEvents = "/api/v1/organizations/{{org}}/projects/default/events"
	nativeCheck  = "/api/v1/organizations/{{org}}/check"
)

var (
	decisionStates = []consent.State{consent.Accepted, consent.Declined, consent.Withdrawn}
	bothPurposes   = []string{consent.Marketing, consent.GeneralMarketingOptIn}
	yesAndNo       = []consent.State{consent.Accepted, consent.Declined}
)

// purposeVars are the words that protocols have for a purpose.
var purposeVars = map[string]vars{
	consent.Marketing: {"purpose": consent.Marketing, "category": "privacy_setting", "subcategory": "marketing",
		"label": "*", "hub": "marketing"},
	consent.GeneralMarketingOptIn: {"purpose": consent.GeneralMarketingOptIn, "category": "communication",
		"subcategory": "email", "label": "general_marketing", "hub": "generalMarketingOptIn"},
}

func stateVars(state consent.State) vars {
	granted, levels := state == consent.Accepted, ""
	if granted {
		levels = `"marketing"`
	}
	return vars{"state": state.String(), "granted": strconv.FormatBool(granted), "levels": levels}
}

// decisionWriters and decisionReaders are all calls by which a decision comes in, and by which one is asked for.
var (
	decisionWriters = []decisionWriter{
		{name: "concord", method: "POST", target: concordProject + "/consent-events", headers: concordKey, status: 201,
			purposes: bothPurposes, states: yesAndNo,
			body: `{"items":[{"userId":"{{person}}","category":"{{category}}","subcategory":"{{subcategory}}",` +
				`"label":"{{label}}","consentState":"{{state}}","consentAction":"user_click"}]}`},
		{name: "slashid", method: "PUT", target: "/persons/{{person}}/consent/gdpr", headers: slashKey, status: 200,
			purposes: bothPurposes[:1], states: yesAndNo, overwrites: true, body: `{"consent_levels":[{{levels}}]}`},
		{name: "slashid token", method: "POST", target: "/consent/gdpr", headers: bearerToken, status: 201,
			purposes: bothPurposes[:1], states: yesAndNo, overwrites: true, body: `{"consent_levels":[{{levels}}]}`},
		{name: "slashid delete", method: "DELETE", target: "/persons/{{person}}/consent/gdpr?consent_levels=marketing",
			headers: slashKey, status: 204, purposes: bothPurposes[:1], states: yesAndNo[1:], overwrites: true},
		{name: "consent-hub", method: "POST", target: "/consent-hub/consent", headers: basicKey, status: 202,
			purposes: bothPurposes, states: yesAndNo,
			body: `{"consents":[{"key":"{{hub}}","granted":{{granted}}}],"email":"{{email}}","locale":"NL"}`},
		{name: "native", method: "POST", target: nativeEvents, headers: bearerKey, status: 201, purposes: bothPurposes,
			states: decisionStates,
			body:   `{"items":[{"identifiers":{"userId":"{{person}}"},"purpose":"{{purpose}}","state":"{{state}}"}]}`},
	}
	decisionReaders = []decisionReader{
		{name: "concord", method: "GET", target: concordProject + "/consent-events?order=desc&limit=100&userId={{person}}",
			headers: concordKey, purposes: bothPurposes, read: latestOf},
		{name: "slashid", method: "GET", target: "/persons/{{person}}/consent/gdpr", headers: slashKey,
			purposes: bothPurposes[:1], read: levelOf},
		{name: "slashid token", method: "GET", target: "/consent/gdpr", headers: bearerToken,
			purposes: bothPurposes[:1], read: levelOf},
		{name: "consent-hub", method: "POST", target: "/consent-hub/consent-config/get", headers: basicKey,
			purposes: bothPurposes[1:], read: choiceOf, body: `{"email":"{{email}}"}`},
		{name: "native check", method: "POST", target: nativeCheck, headers: bearerKey, purposes: bothPurposes,
			read: checkedOf, body: `{"identifiers":{"userId":"{{person}}"},"purposes":["{{purpose}}"]}`},
		{name: "native check of several", method: "POST", target: nativeCheck, headers: bearerKey,
			purposes: bothPurposes, read: checkedOf,
			body: `{"subjects":[{"identifiers":{"email":"{{email}}","userId":"{{person}}"}},` +
				`{"identifiers":{"email":"x@y.z"}}]}`},
	}
)

// latestOf reads concord's history, the newest first.
func latestOf(w *harness, res *webtest.Response, purpose string) string {
	w.Helper()
	var list struct{ Items []wireEvent }
	if err := json.Unmarshal(res.Body, &list); err != nil || res.Status != 200 {
		w.Errorf("a history: %v in %v", err, res)
	}
	words := purposeVars[purpose]
	at := slices.IndexFunc(list.Items, func(e wireEvent) bool {
		return e.Category == words["category"] && e.Subcategory == words["subcategory"] && e.Label == words["label"]
	})
	switch {
	case at < 0:
		return never
	case list.Items[at].State == yes:
		return yes
	}
	return no
}

// levelOf reads slashid's levels.
func levelOf(w *harness, res *webtest.Response, purpose string) string {
	w.Helper()
	if res.Status != 200 {
		w.Errorf("levels: %v", res)
	}
	return yesOrNo(slices.Contains(levelsIn(w, res), purpose))
}

// choiceOf reads Consent Hub's configuration.
func choiceOf(w *harness, res *webtest.Response, _ string) string {
	w.Helper()
	var choice struct {
		Has bool `json:"hasUserMadeChoiceOnMarketingCommunicationOptIn"`
		Yes bool `json:"usersChoiceOnMarketingCommunicationOptIn"`
	}
	if err := json.Unmarshal(res.Body, &choice); err != nil || res.Status != 200 {
		w.Errorf("a choice: %v in %v", err, res)
	}
	if !choice.Has {
		return never
	}
	return yesOrNo(choice.Yes)
}

// checkedOf reads a native check, of one person or, with that one first, of several.
func checkedOf(w *harness, res *webtest.Response, purpose string) string {
	w.Helper()
	type results []struct {
		Purpose, State string
		Granted        bool
	}
	var answer struct {
		Results  results
		Subjects []struct{ Results results }
	}
	if err := json.Unmarshal(res.Body, &answer); err != nil || res.Status != 200 {
		w.Errorf("a check: %v in %v", err, res)
	}
	if len(answer.Subjects) > 0 {
		answer.Results = answer.Subjects[0].Results
	}
	for _, r := range answer.Results {
		if r.Purpose != purpose {
			continue
		}
		if r.Granted != (r.State == yes) {
			w.Errorf("a check: granted is %t of what is %s: %v", r.Granted, r.State, res)
		}
		if r.State == "unknown" {
			return never
		}
		return r.State
	}
	w.Errorf("a check: no %s in %v", purpose, res)
	return ""
}

func yesOrNo(granted bool) string {
	if granted {
		return yes
	}
	return no
}

// decide sends a decision to one of the servers, and fails where it is not taken.
func (d *decisionWriter) decide(w *harness, server int, person vars, purpose string, state consent.State) {
	w.Helper()
	v := person.with(purposeVars[purpose]).with(stateVars(state))
	if res := w.doAt(server, v, d.method, d.target, d.headers, d.body); res.Status != d.status {
		w.Errorf("%s: %s for %s: want %d, got %v", d.name, state, purpose, d.status, res)
	}
}

// ask asks one of the servers.
func (d *decisionReader) ask(w *harness, server int, person vars, purpose string) string {
	w.Helper()
	v := person.with(purposeVars[purpose])
	return d.read(w, w.doAt(server, v, d.method, d.target, d.headers, d.body), purpose)
}

// writersOf and readersOf give the calls that know a purpose.
func writersOf(purpose string, state consent.State) (found []decisionWriter) {
	for _, d := range decisionWriters {
		if slices.Contains(d.purposes, purpose) && slices.Contains(d.states, state) {
			found = append(found, d)
		}
	}
	return found
}

func readersOf(purpose string) (found []decisionReader) {
	for _, d := range decisionReaders {
		if slices.Contains(d.purposes, purpose) {
			found = append(found, d)
		}
	}
	return found
}

func anyOf[T any](list []T) T { return list[rand.IntN(len(list))] }

// newPerson makes somebody whom all protocols know: by a user id and an e-mail address.
func (w *harness) newPerson() vars {
	w.Helper()
	v := w.mine.with(vars{"email": w.mine.expand("new.{{n}}@shop.example")})
	made := w.do(v, "POST", "/persons", slashKey, `{"handles":[{"type":"email_address","value":"{{email}}"}]}`)
	v["person"] = w.value(made, 201, "result", "person_id")
	v["token"] = w.mint(v)
	return v
}

// TestWithdrawalSeenAtOnce proves, for each call by which a no comes in and each by which is asked: the very next
// question is answered no, under load.
func TestWithdrawalSeenAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) { withdrawals(t, newHarness(t, e)) })
}

// TestThreeServersWithdrawal is TestWithdrawalSeenAtOnce on three servers: each of them is asked.
func TestThreeServersWithdrawal(t *testing.T) { onThree(t, withdrawals) }

func withdrawals(t *testing.T, w *harness) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	type cell struct {
		writer  decisionWriter
		purpose string
		state   consent.State
		person  vars
	}
	var cells []cell
	for _, purpose := range bothPurposes {
		for _, state := range decisionStates[1:] {
			for _, writer := range writersOf(purpose, state) {
				cells = append(cells, cell{writer, purpose, state, w.newPerson()})
			}
		}
	}
	stop := w.load(3)
	defer stop()
	var all sync.WaitGroup
	for i, c := range cells {
		all.Go(func() {
			for round := range rounds {
				granting := anyOf(writersOf(c.purpose, consent.Accepted))
				granting.decide(w, i+round, c.person, c.purpose, consent.Accepted)
				w.everybodySays(c.person, c.purpose, yes, "after a yes by "+granting.name)
				c.writer.decide(w, round, c.person, c.purpose, c.state)
				w.everybodySays(c.person, c.purpose, no, "after a no by "+c.writer.name)
			}
		})
	}
	all.Wait()
	stop()
	w.audit()
}

// everybodySays asks every server by every call at once.
func (w *harness) everybodySays(person vars, purpose, want, when string) {
	w.Helper()
	var all sync.WaitGroup
	for server := range w.urls {
		for _, reader := range readersOf(purpose) {
			all.Go(func() {
				if got := reader.ask(w, server, person, purpose); !says(got, want) {
					w.Errorf("%s: %s on server %d says %s of %s", when, reader.name, server, got, purpose)
				}
			})
		}
	}
	all.Wait()
}

// says tells whether an answer is right for what it should be; "no" stands for every state but accepted.
func says(got, want string) bool {
	return got == want || want == no && got != yes && got != never || got == no && want != yes
}

// load has clients decide and ask about people of their own, until stop is called, which may be done twice.
func (w *harness) load(clients int) (stop func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	for client := range clients {
		person := w.newPerson()
		all.Go(func() {
			for n := client; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				purpose, state := anyOf(bothPurposes), anyOf(yesAndNo)
				writer, reader := anyOf(writersOf(purpose, state)), anyOf(readersOf(purpose))
				writer.decide(w, n, person, purpose, state)
				if got := reader.ask(w, n+1, person, purpose); (got == yes) != (state == consent.Accepted) {
					w.Errorf("under load: %s by %s for %s, and %s says %s", state, writer.name, purpose, reader.name, got)
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(done); all.Wait() })
}

func wantAfter(state consent.State) string {
	return yesOrNo(state == consent.Accepted)
}

// TestDecisionCalls proves that the table of calls is whole: each state that a writer says is read by each reader.
func TestDecisionCalls(t *testing.T) {
	t.Parallel()
	w := newHarness(t, engines[0])
	for _, writer := range decisionWriters {
		if strings.Contains(writer.body, "{{granted}}") && len(writer.states) < 2 {
			t.Errorf("%s says one of two answers only", writer.name)
		}
		for _, purpose := range writer.purposes {
			person := w.newPerson()
			w.everybodySays(person, purpose, never, "before anybody said anything")
			for i, state := range writer.states {
				writer.decide(w, 0, person, purpose, state)
				want := wantAfter(state)
				if writer.overwrites && i == 0 && state != consent.Accepted {
					want = never // there is nothing to take back
				}
				w.everybodySays(person, purpose, want, fmt.Sprint("after ", state, " by ", writer.name))
			}
		}
	}
}
