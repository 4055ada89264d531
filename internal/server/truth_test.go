package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

// wireEvent is an event as concord's list shows it: of the published protocols the one that shows the history.
type wireEvent struct {
	ID           string    `json:"id"`
	Person       string    `json:"concordId"`
	State        string    `json:"consentState"`
	Action       string    `json:"consentAction"`
	Date         time.Time `json:"consentDate"`
	Expires      time.Time `json:"expirationDate"`
	Category     string    `json:"category"`
	Subcategory  string    `json:"subcategory"`
	Label        string    `json:"label"`
	RecordedTime time.Time `json:"createdAt"`
}

// TestOnePersonOneTruth proves common.md, "Identity": clients of all protocols write about one person at once,
// each by the name that its protocol has for them; at the end all protocols say the same, nothing is lost or double,
// and the ledger's ids are in order.
func TestOnePersonOneTruth(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) { onePersonOneTruth(t, newHarness(t, e)) })
}

func onePersonOneTruth(t *testing.T, w *harness) {
	const rounds = 12
	v := w.mine
	events := atomic.Int64{} // acknowledged, of those calls that record exactly one each
	saves := atomic.Int64{}
	states := []string{"accepted", "declined", "implied", "viewed"}
	levels := []string{`["marketing"]`, `["analytics","tracking"]`, `[]`, `["none"]`,
		`["necessary","marketing","retargeting"]`}
	writers := []func(i int) bool{
		func(i int) bool { // concord, by a device that is anonymous first and then the user's
			device := uuid.NewString()
			before := `{"items":[{"concordId":"` + device + `","category":"privacy_setting","subcategory":"functional",` +
				`"consentState":"accepted","consentAction":"implied"}]}`
			after := `{"items":[{"userId":"{{person}}","concordId":"` + device +
				`","category":"privacy_setting","subcategory":"marketing",` +
				`"consentState":"` + states[i%4] + `","consentAction":"user_click"}]}`
			events.Add(2)
			return w.do(v, "POST", concordProject+"/consent-events", concordKey, before).Status == 201 &&
				w.do(v, "POST", concordProject+"/consent-events", concordKey, after).Status == 201
		},
		func(i int) bool { // concord, by e-mail, with a date of its own that is now and then the past
			at := time.Now().Add(-time.Duration(i%3) * time.Minute).UTC().Format(time.RFC3339Nano)
			body := `{"items":[{"email":"{{email}}","category":"privacy_setting","subcategory":"analytics","consentDate":"` +
				at +
				`","consentState":"` + states[i%2] + `","consentAction":"import"}]}`
			events.Add(1)
			return w.do(v, "POST", concordProject+"/consent-events", concordKey, body).Status == 201
		},
		func(i int) bool {
			return w.do(v, "PUT", "/persons/{{person}}/consent/gdpr", slashKey,
				`{"consent_levels":`+levels[i%5]+`}`).Status == 200
		},
		func(i int) bool {
			return w.do(v, "POST", "/consent/gdpr", bearerToken, `{"consent_levels":`+levels[(i+2)%5]+`}`).Status == 201
		},
		func(i int) bool {
			body := fmt.Sprintf(`{"consents":[{"key":"generalMarketingOptIn","granted":%t}],"email":"{{email}}","locale":"NL",`+
				`"providerId":"prov-1"}`, i%2 == 0)
			events.Add(1)
			return w.do(v, "POST", "/consent-hub/consent", basicKey, body).Status == 202
		},
		func(i int) bool {
			saves.Add(1)
			return w.do(v, "PATCH", "/v1/subjects/user/{{person}}", bearerKey,
				fmt.Sprintf(`{"data":{"a%d":%d}}`, i, i)).Status == 200
		},
		func(i int) bool {
			saves.Add(1)
			return w.do(v, "POST", "/v1/subjects/user/{{person}}", bearerKey,
				fmt.Sprintf(`{"data":{"b%d":%d}}`, i, i)).Status == 200
		},
	}
	before := len(history(w, "userId="+v["person"]))
	var wg sync.WaitGroup
	for n, write := range writers {
		wg.Go(func() {
			for i := range rounds {
				if !write(i) {
					t.Errorf("writer %d, round %d is refused", n, i)
				}
			}
		})
	}
	wg.Wait()
	for _, late := range []string{`"accepted"`, `"declined","consentDate":"` +
		time.Now().Add(-time.Hour).UTC().Format(time.RFC3339) + `"`} {
		events.Add(1) // the second arrives late and changes nothing
		w.value(w.do(v, "POST", concordProject+"/consent-events", concordKey,
			`{"items":[{"phoneNumber":"{{phone}}","category":"privacy_setting",`+
				`"subcategory":"marketing","consentAction":"import","consentState":`+late+`}]}`), 201, "count")
	}

	all := history(w, "userId="+v["person"])
	for _, filter := range []string{"email=" + url.QueryEscape(v["email"]), "projectUserId=prov-1", "concordId=" +
		v["device"], "concordId=" + all[0].Person} {
		if others := history(w, filter); !slices.Equal(others, all) {
			t.Errorf("by %s there are %d events, by user id %d", filter, len(others), len(all))
		}
	}
	count := map[string]int{}
	for i, e := range all {
		if i > 0 && e.ID <= all[i-1].ID {
			t.Errorf("ids are out of order: %s after %s", e.ID, all[i-1].ID)
		}
		count[e.Subcategory]++
	}
	for _, subcategory := range []string{"email", "functional"} { // which no overwrite touches
		if count[subcategory] != rounds {
			t.Errorf("%d events of %s for %d acknowledged writes", count[subcategory], subcategory, rounds)
		}
	}
	if len(all)-before < int(events.Load()) {
		t.Errorf("%d events for at least %d acknowledged ones", len(all)-before, events.Load())
	}
	agree(t, w, all)
	record := w.do(v, "GET", "/v1/subjects/user/{{person}}", bearerKey, "")
	if got, want := w.value(record, 200, "version"), fmt.Sprint(1+saves.Load()); got != want {
		t.Errorf("the record has version %s after %s", got, want)
	}
	for i := range rounds {
		for _, name := range []string{"a", "b"} {
			if got := w.value(record, 200, "data", fmt.Sprint(name, i)); got != fmt.Sprint(i) {
				t.Errorf("data has %s%d = %s", name, i, got)
			}
		}
	}
	if person := w.do(v, "GET", "/persons/{{person}}", slashKey, ""); w.value(person, 200, "result", "attributes",
		"a1") != "1" {
		t.Errorf("the other protocol shows another record: %v", person)
	}
	w.audit()
}

// history lists the events that a filter finds, the oldest first.
func history(w *harness, filter string) []wireEvent {
	w.Helper()
	res := w.do(w.mine, "GET", concordProject+"/consent-events?order=asc&limit=1000&"+filter, concordKey, "")
	var list struct {
		Count, Total int
		Items        []wireEvent
	}
	if err := json.Unmarshal(res.Body, &list); err != nil || res.Status != 200 || list.Count != list.Total ||
		list.Total == 0 {
		w.Fatalf("%s: %v in %v", filter, err, res)
	}
	return list.Items
}

// active reports whether the event decides over all before it: somebody said it, and if it was imported, when.
func (e *wireEvent) active() bool {
	return e.Action != "implied" && (e.State == "declined" || e.State == "accepted" && !(e.Action == "import" &&
		e.Date.Equal(e.RecordedTime)))
}

// agree folds the events here and holds the result against what the protocols say.
func agree(t *testing.T, w *harness, all []wireEvent) {
	t.Helper()
	latest := map[string]wireEvent{}
	for _, e := range all {
		key := e.Category + "/" + e.Subcategory + "/" + e.Label
		if old, ok := latest[key]; !ok || !old.active() || e.active() && !e.Date.Before(old.Date) {
			latest[key] = e
		}
	}
	granted := func(key string) bool { // implied is none: nobody knows where a loopback address is, so opt-in holds
		return latest[key].State == "accepted" && time.Now().Before(latest[key].Expires)
	}
	var want []string
	for _, level := range []struct{ name, key string }{
		{"none", "custom/unclassified/none"}, {"necessary", "privacy_setting/strictly_necessary/*"}, {"analytics",
			"privacy_setting/analytics/*"},
		{"marketing", "privacy_setting/marketing/*"}, {"retargeting", "custom/unclassified/retargeting"}, {"tracking",
			"custom/unclassified/tracking"},
	} {
		if granted(level.key) {
			want = append(want, level.name)
		}
	}
	for target, headers := range map[string]map[string]string{"/persons/{{person}}/consent/gdpr": slashKey,
		"/consent/gdpr": bearerToken} {
		var answer struct {
			Result struct {
				Consents []struct {
					Level string `json:"consent_level"`
				}
			}
		}
		res := w.do(w.mine, "GET", target, headers, "")
		w.must(json.Unmarshal(res.Body, &answer))
		var got []string
		for _, c := range answer.Result.Consents {
			got = append(got, c.Level)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, but the events fold to %v", target, got, want)
		}
	}
	hub := w.do(w.mine, "POST", "/consent-hub/consent-config/get", basicKey, `{"email":"{{email}}"}`)
	got := w.value(hub, 200, "usersChoiceOnMarketingCommunicationOptIn")
	if got != fmt.Sprint(granted("communication/email/general_marketing")) {
		t.Errorf("the choice is %s, but the last event says %v", got, latest["communication/email/general_marketing"])
	}
}
