package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// onWire is the form of instants in the native API.
const onWire = "2006-01-02T15:04:05.000000Z"

// TestExpiry proves that durations are calendar ones, in UTC whatever the offset of a date, and that a yes is not in
// force from the very instant of its expiry, to the microsecond: asked then, and asked later about then.
func TestExpiry(t *testing.T) {
	t.Parallel()
	w := newHarness(t, engines[0])
	for _, tc := range []struct{ duration, decided, expires string }{
		{"P1M", "2027-01-31T12:30:00.000001Z", "2027-02-28T12:30:00.000001Z"},
		{"P1M", "2028-01-31T12:30:00Z", "2028-02-29T12:30:00Z"},
		{"P1M", "2027-02-28T00:00:00Z", "2027-03-28T00:00:00Z"},
		{"P13M", "2028-01-31T12:30:00Z", "2029-02-28T12:30:00Z"},
		{"P1Y", "2028-02-29T23:59:59.999999Z", "2029-02-28T23:59:59.999999Z"},
		{"P4Y", "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"},
		{"P1Y", "2027-02-28T12:00:00Z", "2028-02-28T12:00:00Z"},
		{"P1M", "2027-01-31T23:30:00-05:00", "2027-03-01T04:30:00Z"}, // in UTC it is 1 February
		{"P1M", "2027-03-31T00:30:00+02:00", "2027-04-30T22:30:00Z"}, // and 30 March
		{"P1M", "2027-03-28t01:30:00z", "2027-04-28T01:30:00Z"},      // Europe's clocks go forward
		{"PT36H", "2027-03-27T13:00:00+01:00", "2027-03-29T00:00:00Z"},
	} {
		w.expires(tc.duration, tc.decided, "", tc.expires)
	}
	for _, said := range []string{"2027-06-01T13:00:00Z", "2027-06-01T18:45:00+05:45", "2027-06-01t03:00:00.000-10:00"} {
		w.expires("P1Y", "2027-06-01T12:00:00Z", said, "2027-06-01T13:00:00Z")
	}
}

// expires records a yes at the instant that it is dated, and asks whether it is in force until the instant of its
// expiry and not from then on. said is the expiry that comes with it; "": that of the purpose's duration holds.
func (w *harness) expires(duration, decided, said, expires string) {
	w.Helper()
	what := fmt.Sprintf("%s from %s, expiry %q", duration, decided, said)
	begin, end := instantOf(w, decided), instantOf(w, expires)
	v := w.mine.with(vars{"email": w.mine.expand("expiry.{{n}}@shop.example"), "decided": decided, "said": ""})
	w.clock(time.Time{})
	v["timed"] = w.newPurpose(duration)
	if said != "" {
		v["said"] = `,"expiresAt":"` + said + `"`
	}
	w.clock(begin)
	made := w.do(v, "POST", nativeEvents, bearerKey, `{"items":[{"identifiers":{"email":"{{email}}"},`+
		`"purpose":"{{timed}}","state":"accepted","occurredAt":"{{decided}}"{{said}}}]}`)
	var answer struct {
		Items []struct{ SubjectID, OccurredAt, ExpiresAt string }
	}
	if err := json.Unmarshal(made.Body, &answer); err != nil || made.Status != 201 || len(answer.Items) != 1 {
		w.Fatalf("%s: %v in %v", what, err, made)
	}
	if got := answer.Items[0]; got.OccurredAt != begin.Format(onWire) || got.ExpiresAt != end.Format(onWire) {
		w.Errorf("%s: decided at %s, it expires at %s", what, got.OccurredAt, got.ExpiresAt)
	}
	v["subjectid"] = answer.Items[0].SubjectID
	for _, ask := range []struct {
		now  time.Time
		at   string
		want bool
	}{
		{now: begin, want: true},
		{now: end.Add(-time.Microsecond), want: true},
		{now: end},
		{now: end.Add(time.Microsecond)},
		{now: end.AddDate(1, 0, 0), at: end.Add(-time.Microsecond).Format(onWire), want: true},
		{now: end.AddDate(1, 0, 0), at: begin.In(time.FixedZone("", -34200)).Format(time.RFC3339Nano), want: true},
		{now: end.AddDate(1, 0, 0), at: end.In(time.FixedZone("", 20700)).Format(time.RFC3339Nano)},
	} {
		w.clock(ask.now)
		got := w.check(v, ask.at)
		if want := map[bool]string{true: yes, false: "expired"}[ask.want]; got.Granted != ask.want || got.State != want ||
			got.Reason != want || got.ExpiresAt != end.Format(onWire) {
			w.Errorf("%s: at %s, asked about %q: %+v", what, ask.now.Format(onWire), ask.at, got)
		}
		if listed := w.onRecord(v, ask.at); listed != got {
			w.Errorf("%s: at %s, asked about %q: the subject's list has %+v, the check says %+v", what,
				ask.now.Format(onWire), ask.at, listed, got)
		}
	}
	w.clock(begin.AddDate(1, 0, 0))
	before := w.check(v, begin.Add(-time.Microsecond).Format(onWire))
	if before.Granted || before.State != "unknown" || before.Reason != "never_asked" {
		w.Errorf("%s: before it was decided: %+v", what, before)
	}
}

// checked is a result of the native check, or one of a subject's consents.
type checked struct {
	Granted                  bool
	State, Reason, ExpiresAt string
}

// check asks about the variables timed and email; at "" is now.
func (w *harness) check(v vars, at string) checked {
	w.Helper()
	body := map[string]any{"identifiers": map[string]string{"email": "{{email}}"}, "purposes": []string{"{{timed}}"}}
	if at != "" {
		body["at"] = at
	}
	raw, err := json.Marshal(body)
	w.must(err)
	res := w.do(v, "POST", nativeCheck, bearerKey, string(raw))
	var answer struct{ Results []checked }
	if err := json.Unmarshal(res.Body, &answer); err != nil || res.Status != 200 || len(answer.Results) != 1 {
		w.Fatalf("%v in %v", err, res)
	}
	return answer.Results[0]
}

// onRecord asks for the consents of the subject of the variable subjectid, and gives that for timed.
func (w *harness) onRecord(v vars, at string) checked {
	w.Helper()
	query := ""
	if at != "" {
		query = "?at=" + url.QueryEscape(at)
	}
	res := w.do(v, "GET", nativeSubjects+"/{{subjectid}}/consents"+query, bearerKey, "")
	var answer struct {
		Items []struct {
			Purpose string
			checked
		}
	}
	if err := json.Unmarshal(res.Body, &answer); err != nil || res.Status != 200 {
		w.Fatalf("%v in %v", err, res)
	}
	for _, item := range answer.Items {
		if item.Purpose == v["timed"] {
			return item.checked
		}
	}
	return checked{}
}

// clock stops the service's clock at an instant; zero lets it go on.
func (w *harness) clock(at time.Time) {
	w.stopped.Store(&at)
}

func instantOf(w *harness, text string) time.Time {
	w.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.999999999Z07:00", strings.ToUpper(text))
	w.must(err)
	return at.UTC()
}

// newPurpose makes a purpose whose yeses hold that long, and gives its key.
func (w *harness) newPurpose(duration string) string {
	w.Helper()
	label := w.mine.expand("t{{n}}")
	made := w.do(w.mine, "POST", concordProject+"/consent-types", concordKey, `{"category":"custom",`+
		`"subcategory":"timed","label":"`+label+`","name":"Timed `+label+`","consentDuration":"`+duration+`"}`)
	w.value(made, 201, "id")
	return label // which no other purpose has for a key
}
