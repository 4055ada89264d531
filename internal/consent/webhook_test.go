package consent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var hookNoon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newHook(t interface{ Fatal(...any) }) Webhook {
	n := NewWebhook{URL: "https://hook.example/in", Events: []string{"consent.*"}}
	w, err := n.Create(Head{Sequence: 7, LastID: ID{1}}, hookNoon)
	if err != nil {
		t.Fatal(err)
	}
	w.Secret = []byte("secret")
	return w
}

func TestWebhookURLs(t *testing.T) {
	for url, says := range map[string]string{
		"https://hook.example": "", "https://hook.example/a?b=c@d": "", "http://localhost:8080/x": "",
		"https://[2606:4700::1111]:8443/": "", "https://hook.example/%C3%BC": "", "https://hook.example/a@b": "",
		"https://hook.example/" + strings.Repeat("a", maxWebhookURL-21): "",
		"https://hook.example/" + strings.Repeat("a", maxWebhookURL-20): "2048 bytes",
		"": "https://", "hook.example": "https://", "ftp://hook.example": "https://", "HTTPS://hook.example": "https://",
		"https://": "host", "https:///a": "host", "https://:443/": "host", "https://?a": "host",
		"https://a:b@hook.example": "password", "https://a@hook.example/": "password", "https://hook.example#a": "fragment",
		"https://hook.example/ü": "ASCII", "https://hook.example/a b": "ASCII", "https://hook.example/\n": "ASCII",
		"https://hook.example\\@evil.example": "ASCII",
	} {
		err := checkWebhookURL(url)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%.60q: %v, want %q", url, err, says)
		}
		if err != nil && strings.Contains(AsError(err).Msg, "hook.example") {
			t.Errorf("%.60q is repeated: %v", url, err)
		}
	}
}

// TestWebhookMistakes: all mistakes are told at once.
func TestWebhookMistakes(t *testing.T) {
	for _, tc := range []struct {
		in   NewWebhook
		want string
	}{
		{NewWebhook{URL: "https://a.example", Events: []string{"*"}}, ""},
		{NewWebhook{URL: "https://a.example", Events: []string{"consent.*", "subject.erased", "purpose.version"},
			Description: strings.Repeat("ü", maxWebhookDescription)}, ""},
		{NewWebhook{Description: strings.Repeat("ü", maxWebhookDescription+1)}, "url events description"},
		{NewWebhook{URL: "https://a.example", Events: []string{"consent.read", "consent.*", "consent.*", "webhook.ping",
			"webhook.*", "consent", "", "con*"}}, "events[0] events[2] events[3] events[4] events[5] events[6] events[7]"},
		{NewWebhook{URL: "https://a.example", Events: make([]string, maxWebhookEvents+1)}, "events"},
	} {
		_, err := tc.in.Create(Head{}, hookNoon)
		var fields []string
		if err != nil {
			e := AsError(err)
			for _, one := range append([]*Error{e}, e.More...) {
				fields = append(fields, one.Field)
			}
		}
		if got := strings.Join(fields, " "); got != tc.want && !(tc.want == "events" && strings.HasPrefix(got, "events ")) {
			t.Errorf("%+v: %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestWebhookWants(t *testing.T) {
	for pattern, want := range map[string][]EventType{
		"*": EventTypes, "consent.*": {ConsentRecorded, ConsentWithdrawn, ConsentExpired},
		"subject.*": {SubjectMerged, SubjectUnmerged, SubjectErased}, "purpose.*": {PurposeVersioned},
		"consent.withdrawn": {ConsentWithdrawn}, "consent": nil, "consent.record": nil, "": nil,
	} {
		w := Webhook{Events: []string{pattern}}
		for _, one := range EventTypes {
			if got := w.Wants(one); got != slices.Contains(want, one) {
				t.Errorf("%q wants %s: %t", pattern, one, got)
			}
		}
		if !w.Wants(WebhookPing) {
			t.Errorf("%q does not want a ping", pattern)
		}
	}
}

// TestWebhookCreate: a new one is told of what comes from now on.
func TestWebhookCreate(t *testing.T) {
	w := newHook(t)
	want := WebhookCursor{Sequence: 7, LastID: ID{1}, ExpiredAt: hookNoon, NextExpiry: hookNoon}
	if w.WebhookCursor != want || !w.Active() || w.Revision != 1 {
		t.Errorf("%+v", w)
	}
}

func TestWebhookChange(t *testing.T) {
	yes, no, url, bad, text := true, false, "https://b.example", "b.example", "new"
	later := hookNoon.Add(time.Hour)
	off, failing := newHook(t), newHook(t)
	off.Disabled = DisabledByRequest
	failing.Disabled, failing.FailingSince = DisabledFailing, hookNoon
	quiet := newHook(t)
	quiet.Events = []string{"subject.*"}
	for name, tc := range map[string]struct {
		from    Webhook
		change  WebhookChange
		changed bool
		check   func(to *Webhook) bool
	}{
		"nothing": {newHook(t), WebhookChange{}, false, func(to *Webhook) bool { return to.Revision == 1 }},
		"the same": {newHook(t), WebhookChange{Active: &yes, Events: &[]string{"consent.*"}}, false,
			func(*Webhook) bool { return true }},
		"url": {newHook(t), WebhookChange{URL: &url}, true,
			func(to *Webhook) bool { return to.URL == url && to.Sequence == 7 }},
		"description": {newHook(t), WebhookChange{Description: &text}, true,
			func(to *Webhook) bool { return to.Description == text }},
		"off": {newHook(t), WebhookChange{Active: &no}, true,
			func(to *Webhook) bool { return to.Disabled == DisabledByRequest }},
		"off again": {failing, WebhookChange{Active: &no}, false,
			func(to *Webhook) bool { return to.Disabled == DisabledFailing }},
		"on": {off, WebhookChange{Active: &yes}, true,
			func(to *Webhook) bool { return to.Active() && to.Sequence == 7 }},
		"on after days": {failing, WebhookChange{Active: &yes}, true,
			func(to *Webhook) bool { return to.Active() && to.FailingSince.IsZero() }},
		"of expiries too": {quiet, WebhookChange{Events: &[]string{"*"}}, true, func(to *Webhook) bool {
			return to.ExpiredAt.Equal(later) && to.NextExpiry.Equal(later)
		}},
		"other types": {newHook(t), WebhookChange{Events: &[]string{"*"}}, true, func(to *Webhook) bool {
			return to.ExpiredAt.Equal(hookNoon)
		}},
	} {
		to, changed, err := tc.from.Change(&tc.change, later)
		if err != nil || changed != tc.changed || !tc.check(&to) {
			t.Errorf("%s: changed %t, %v: %+v", name, changed, err, to)
		}
		if changed && (to.Revision != 2 || !to.UpdatedAt.Equal(later)) {
			t.Errorf("%s: %+v", name, to)
		}
	}
	w := newHook(t)
	if _, _, err := w.Change(&WebhookChange{URL: &bad, Events: &[]string{}}, later); AsError(err).Field != "url" {
		t.Errorf("%v", err)
	}
}

// TestWebhookSecrets: after a rotation both secrets sign for its time, and the new one alone from its very end on.
func TestWebhookSecrets(t *testing.T) {
	w := newHook(t)
	until := hookNoon.Add(24 * time.Hour)
	w.Rotate([]byte("second"), hookNoon, until)
	for at, want := range map[time.Time]string{hookNoon: "second secret", until.Add(-1): "second secret",
		until: "second"} {
		if got := fmt.Sprintf("%s", w.Secrets(at)); got != "["+want+"]" {
			t.Errorf("at %s: %s, want %s", at, got, want)
		}
	}
	w.Secret = nil // it was changed in the store
	w.Rotate([]byte("third"), hookNoon, until)
	if got := fmt.Sprintf("%s", w.Secrets(hookNoon)); got != "[third]" || w.Previous != nil {
		t.Errorf("after one that could not be read: %s", got)
	}
}

func TestDeliveryStates(t *testing.T) {
	for state, want := range map[DeliveryState]string{0: "pending", 1: "delivered", 2: "parked", 3: "dropped",
		4: "unknown(4)"} {
		if state.String() != want {
			t.Errorf("%d: %s", state, state)
		}
	}
}

// TestSchedule: a delivery that always fails is tried ten times, at the intervals of the contract or a little later,
// and parked.
func TestSchedule(t *testing.T) {
	waits := []string{"5s", "5m0s", "30m0s", "2h0m0s", "5h0m0s", "10h0m0s", "14h0m0s", "20h0m0s", "24h0m0s"}
	for _, jitter := range []float64{0, 0.999} {
		w, d, at := newHook(t), Delivery{}, hookNoon
		for _, want := range waits {
			d.Settle(&w, Attempt{At: at, Status: 500, Error: "answered"}, jitter)
			least, err := time.ParseDuration(want)
			if err != nil {
				t.Fatal(err)
			}
			wait := d.NextTryAt.Sub(at)
			if d.State != DeliveryPending || wait < least || wait > least*11/10 || jitter > 0 && wait == least {
				t.Errorf("with %g after %d tries: %+v, after %s, want %s", jitter, d.Attempts, d, wait, least)
			}
			at = d.NextTryAt
		}
		d.Settle(&w, Attempt{At: at, Status: 500}, jitter)
		if d.State != DeliveryParked || !d.NextTryAt.IsZero() || d.Attempts != MaxAttempts || !w.Active() {
			t.Errorf("in the end: %+v, webhook %+v", d, w)
		}
		d.Again(at)
		if d.State != DeliveryPending || d.Attempts != 0 || !d.NextTryAt.Equal(at) {
			t.Errorf("again: %+v", d)
		}
	}
}

// TestDisabling: by 410 at once, by a delivery that is parked where nothing got through for five days, and else not.
func TestDisabling(t *testing.T) {
	last := Delivery{Attempts: MaxAttempts - 1}
	for name, tc := range map[string]struct {
		since    time.Time // nothing got through
		delivery Delivery
		attempt  Attempt
		state    DeliveryState
		disabled DisabledReason
	}{
		"410 at the first":   {time.Time{}, Delivery{}, Attempt{Status: 410}, DeliveryParked, DisabledGone},
		"404 for years":      {hookNoon.AddDate(-1, 0, 0), Delivery{}, Attempt{Status: 404}, DeliveryPending, ""},
		"parked, first ever": {time.Time{}, last, Attempt{Status: 500}, DeliveryParked, ""},
		"parked too early":   {hookNoon.Add(-5*24*time.Hour + 1), last, Attempt{}, DeliveryParked, ""},
		"parked in time":     {hookNoon.Add(-5 * 24 * time.Hour), last, Attempt{}, DeliveryParked, DisabledFailing},
		"taken at last":      {hookNoon.AddDate(-1, 0, 0), last, Attempt{Status: 204, Taken: true}, DeliveryDelivered, ""},
	} {
		w, d := newHook(t), tc.delivery
		w.FailingSince, tc.attempt.At = tc.since, hookNoon
		d.Settle(&w, tc.attempt, 0.5)
		if d.State != tc.state || w.Disabled != tc.disabled || (w.Revision == 2) != (tc.disabled != "") {
			t.Errorf("%s: %s, disabled %q, revision %d", name, d.State, w.Disabled, w.Revision)
		}
		if w.FailingSince.IsZero() != tc.attempt.Taken {
			t.Errorf("%s: failing since %s", name, w.FailingSince)
		}
	}
}

// TestSettled: whatever comes, a delivery waits for a try or for nothing, as its state says, and a success ends both
// the waiting and the failing.
func TestSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, d, at := newHook(t), Delivery{}, hookNoon
		for range rapid.IntRange(1, 30).Draw(t, "tries") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "pause")))
			status := rapid.SampledFrom([]int{0, 200, 302, 404, 410, 500, 503}).Draw(t, "status")
			a := Attempt{At: at, Status: status, Error: "word", Taken: status == 200}
			was := w.Disabled
			d.Settle(&w, a, rapid.Float64Range(0, 1).Draw(t, "jitter"))
			switch {
			case (d.State == DeliveryPending) != !d.NextTryAt.IsZero():
				t.Fatalf("%s, next try %s", d.State, d.NextTryAt)
			case d.State == DeliveryPending && !d.NextTryAt.After(at):
				t.Fatalf("tried at %s, next try %s", at, d.NextTryAt)
			case a.Taken && (d.State != DeliveryDelivered || d.Error != "" || !w.FailingSince.IsZero()):
				t.Fatalf("taken: %+v, failing since %s", d, w.FailingSince)
			case !a.Taken && (d.State == DeliveryDelivered || w.FailingSince.IsZero()):
				t.Fatalf("not taken: %+v, failing since %s", d, w.FailingSince)
			case w.Disabled != was && d.State != DeliveryParked:
				t.Fatalf("disabled by a delivery that is %s", d.State)
			}
		}
	})
}
