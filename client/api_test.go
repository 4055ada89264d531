package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/consentd/consentd/client"
)

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func collect[T any](t *testing.T, all func(func(T, error) bool)) (items []T) {
	t.Helper()
	for item, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

// TestRecord records what has every member, and reads the same back.
func TestRecord(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	in := client.Decision{Identifiers: client.Identifiers{UserID: "rec", Email: "rec@shop.example", Phone: "+31612345678",
		AnonymousID: "8d3bd1cd-5b6c-4bb4-8bd2-0f0a4b3f8d10"}, Purpose: "marketing", State: client.Accepted,
		Action: "user_click", OccurredAt: at, ExpiresAt: at.AddDate(2, 0, 0), Evidence: client.Evidence{
			DisplayedText: "Yes", NoticeURL: "https://shop.example/notice", FormURL: "https://shop.example/form",
			Locale: "de-DE", Country: "DE", IP: "185.166.140.0", UserAgent: "Browser/1", Domain: "shop.example"},
		Metadata: map[string]any{"campaign": "spring", "paid": true, "step": 2.0}}
	made := must[[]client.Event](t)(c.Record(ctx, in, client.Decision{Identifiers: client.Identifiers{UserID: "rec"},
		Purpose: "analytics", State: client.Declined}))
	if len(made) != 2 {
		t.Fatalf("%d events", len(made))
	}
	e := made[0]
	if e.ID == "" || e.SubjectID == "" || e.Sequence == 0 || e.RecordedAt.IsZero() || e.Regime != "opt-in" ||
		e.Source.Protocol != "native" || e.Source.KeyID == "" || e.Project == "" || made[1].SubjectID != e.SubjectID {
		t.Errorf("%+v", e)
	}
	want := in
	want.SubjectID, want.PurposeVersion = e.SubjectID, e.PurposeVersion
	if d := cmp.Diff(want, e.Decision); d != "" {
		t.Errorf("the decision (-sent +recorded):\n%s", d)
	}
	if d := cmp.Diff(e, must[client.Event](t)(c.Event(ctx, e.ID))); d != "" {
		t.Errorf("the event read again (-made +read):\n%s", d)
	}
	more := must[[]client.Event](t)(c.Record(ctx, client.Decision{SubjectID: e.SubjectID, Purpose: "marketing",
		State: client.Withdrawn}))
	if more[0].SubjectID != e.SubjectID {
		t.Errorf("by the subject's id: %+v", more[0])
	}
	_, err := c.Record(ctx, in, client.Decision{Purpose: "nobody's"})
	if !client.IsInvalid(err) || client.IsUnknown(err) {
		t.Errorf("a wrong item: %v", err)
	}
	if _, err := c.Event(ctx, e.SubjectID); !client.IsNotFound(err) {
		t.Errorf("no event: %v", err)
	}
}

// TestRecordOnce: the same decisions under the same key are one event, whoever repeats them; others are refused.
func TestRecordOnce(t *testing.T) {
	ctx, c := context.Background(), shopClient(t, nil)
	yes := client.Decision{Identifiers: client.Identifiers{UserID: "once"}, Purpose: "marketing", State: client.Accepted}
	first := must[[]client.Event](t)(c.RecordOnce(ctx, "order 4711", yes))
	again := must[[]client.Event](t)(shopClient(t, nil).RecordOnce(ctx, "order 4711", yes))
	if d := cmp.Diff(first, again); d != "" {
		t.Errorf("the second answer (-first +second):\n%s", d)
	}
	yes.State = client.Declined
	if _, err := c.RecordOnce(ctx, "order 4711", yes); !client.IsInvalid(err) {
		t.Errorf("another decision under the same key: %v", err)
	}
}

// TestRecordsOnceOverAFlakyProxy: a connection that breaks, also in the middle of an answer, costs a retry; each
// decision is one event, and its caller has that event.
func TestRecordsOnceOverAFlakyProxy(t *testing.T) {
	const writers, each = 6, 15
	nobody := client.Decision{Identifiers: client.Identifiers{UserID: "flaky"}, Purpose: "none", State: client.Accepted}
	random := rand.New(rand.NewPCG(3, 4)) // used under the proxy's lock
	p := newFlaky(t, func(int) fate { return fate(random.IntN(5)) })
	c := shopClient(t, func(c *client.Config) { c.URL, c.Tries, c.MaxWait = p.url(), 60, 20*time.Millisecond })
	first := must[[]client.Event](t)(shopClient(t, nil).Record(context.Background(), nobody))
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				user := fmt.Sprintf("flaky-%d-%d", w, i)
				made, err := c.Record(context.Background(), client.Decision{Identifiers: client.Identifiers{UserID: user},
					Purpose: "marketing", State: client.Accepted})
				if err != nil || len(made) != 1 || made[0].Identifiers.UserID != user {
					t.Errorf("%s: %+v, %v", user, made, err)
				}
			}
		})
	}
	writing.Wait()
	last := must[[]client.Event](t)(shopClient(t, nil).Record(context.Background(), nobody))
	if events := last[0].Sequence - first[0].Sequence - 1; events != writers*each {
		t.Errorf("%d events of %d decisions", events, writers*each)
	}
	if p.requests < 2*writers*each {
		t.Errorf("the proxy saw %d requests only: it lost nothing", p.requests)
	}
}

// TestStreamThatIsCutOff: whatever a stream is cut to, its reader is told, unless all of it came.
func TestStreamThatIsCutOff(t *testing.T) {
	const whole = `{"id":"a"}` + "\n" + `{"id":"b"}` + "\n" + `{"end":true,"count":2}`
	for n := range len(whole) + 1 {
		s := &scripted{answer: scriptedBody(whole[:n])}
		var last error
		count := 0
		for _, err := range scriptedClient(t, s, nil).ExportEvents(context.Background(), client.EventFilter{}) {
			if last = err; err == nil {
				count++
			}
		}
		if n == len(whole) && (last != nil || count != 2) || n < len(whole) && !errors.Is(last, client.ErrCutOff) {
			t.Errorf("after %q: %d events, %v", whole[:n], count, last)
		}
	}
	for _, wrong := range []string{`{"end":true,"count":1}`, `{"end":false,"count":0}`, `{"end":true}`, `[1]`,
		`{"id":"a"}` + "\n" + `{"end":true,"count":2}`, strings.Repeat(" ", 5<<20)} {
		var last error
		s := &scripted{answer: scriptedBody(wrong)}
		for _, err := range scriptedClient(t, s, nil).ExportEvents(context.Background(), client.EventFilter{}) {
			last = err
		}
		if !errors.Is(last, client.ErrCutOff) {
			t.Errorf("%.40q: %v", wrong, last)
		}
	}
}

// scriptedBody answers 200 with a text.
func scriptedBody(text string) answers {
	return func(int) (*http.Response, error) { return respond(200, text) }
}
