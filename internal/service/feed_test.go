package service_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/geo"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

// receiver is a server that is told of what happens.
type receiver struct {
	*httptest.Server
	fault atomic.Pointer[http.HandlerFunc]

	mu      sync.Mutex
	got     map[string][]string // by type, the entries that it took, each time
	ids     map[string]string   // by webhook-id, type and entry
	tries   int
	now     int // requests at the moment
	most    int
	confuse []string // two messages under one id
}

// toldMessage is the body of messages in these tests.
type toldMessage struct {
	Type, Entry, Purpose, Subject, Other string
	Sequence                             int64
}

func tellsOf(m *consent.Notice) ([]byte, error) {
	t := toldMessage{Type: string(m.Type), Entry: fmt.Sprint(m.Sequence), Sequence: m.Sequence, Purpose: m.Purpose,
		Subject: m.Subject.String(), Other: m.Merged.String()}
	if m.Event != nil {
		t.Purpose = m.Event.Body.Purpose
	}
	return json.Marshal(t)
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: map[string][]string{}, ids: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.tries++
	r.now++
	r.most = max(r.most, r.now)
	r.mu.Unlock()
	defer func() { r.mu.Lock(); defer r.mu.Unlock(); r.now-- }()
	body, err := io.ReadAll(q.Body)
	if fault := r.fault.Load(); fault != nil {
		(*fault)(w, q)
		return
	}
	var m toldMessage
	if err != nil || json.Unmarshal(body, &m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id, of := q.Header.Get("webhook-id"), m.Type+" "+m.Entry
	if before, ok := r.ids[id]; ok && before != of || id == "" {
		r.confuse = append(r.confuse, before+" and "+of)
	}
	r.ids[id] = of
	r.got[m.Type] = append(r.got[m.Type], m.Entry)
}

func (r *receiver) breaks(fault http.HandlerFunc) { r.fault.Store(&fault) }
func (r *receiver) mends()                        { r.fault.Store(nil) }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func hangs(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }

// distinct is how many entries it was told of by a type, however often.
func (r *receiver) distinct(of consent.EventType) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, entry := range r.got[string(of)] {
		seen[entry] = true
	}
	return len(seen)
}

func (r *receiver) times(of consent.EventType) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got[string(of)])
}

// tells starts a server over the harness's store that tells webhooks.
func (h *harness) tells(t *testing.T) *service.Service {
	t.Helper()
	places, err := geo.New(geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := service.New(service.Options{Store: h.store, Places: places, Keys: sealingtest.Ring(),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Clock: h.later, RunJobs: true, JobPoll: 20 * time.Millisecond,
		Message:      tellsOf,
		WebhookAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(s.Close)
	return s
}

// later is the time, and so much more as the harness's clock was put forward.
func (h *harness) later() time.Time { return time.Now().Add(h.clock.now().Sub(noon)) }

func (h *harness) webhook(t *testing.T, s *service.Service, a consent.Actor, url string,
	events ...string) *consent.Webhook {
	t.Helper()
	if len(events) == 0 {
		events = []string{"*"}
	}
	made, err := s.CreateWebhook(t.Context(), a, consent.NewWebhook{URL: url, Events: events}, consent.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	return &made.Webhook
}

func recordOn(t *testing.T, s *service.Service, a consent.Actor, items ...consent.Item) *consent.Recorded {
	t.Helper()
	r, err := s.Record(t.Context(), a, write(items...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func deliveriesOf(t *testing.T, s *service.Service, a consent.Actor, w *consent.Webhook) []consent.Delivery {
	t.Helper()
	list, err := s.Deliveries(t.Context(), a, w.Webhook, consent.NoID, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestWebhookIsToldOfAll: of each thing that happens a webhook gets one message, once, of what it subscribes to and of
// its organization alone; what happened before it was made it does not get.
func TestWebhookIsToldOfAll(t *testing.T) {
	h := newHarness(t)
	s := h.tells(t)
	a, b := h.organization(t), h.organization(t)
	recordOn(t, s, a, item(user("before")))
	all, some := newReceiver(t), newReceiver(t)
	w := h.webhook(t, s, a, all.URL+"/hook")
	h.webhook(t, s, a, some.URL, "consent.withdrawn", "purpose.version")
	recordOn(t, s, b, item(user("another's")))
	recordOn(t, s, a, itemsOf(600)...)
	recordOn(t, s, a, item(user("user-1"), decided(consent.Analytics, consent.Withdrawn)))
	ids := []consent.ID{recordOn(t, s, a, item(user("one"))).Items[0].Subject,
		recordOn(t, s, a, item(named(consent.Email, "two@shop.example"))).Items[0].Subject,
		recordOn(t, s, a, item(user("three"))).Items[0].Subject}
	if _, err := s.MergeSubjects(t.Context(), a, consent.MergeSubjects{Subject: ids[0], Other: ids[1]}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UnmergeSubjects(t.Context(), a, consent.UnmergeSubjects{Subject: ids[0], Other: ids[1]}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EraseSubject(t.Context(), a, consent.EraseSubject{Subject: ids[2]}); err != nil {
		t.Fatal(err)
	}
	name, required := "Another name", true
	for _, change := range []consent.PurposeChange{{Name: &name}, {Required: &required}} {
		if _, err := s.UpdatePurpose(t.Context(), a, consent.UpdatePurpose{Key: consent.Analytics,
			Change: change}); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { t.Logf("%d decisions, %v", all.distinct(consent.ConsentRecorded), all.got["purpose.version"]) }()
	awaitLong(t, "all is told", func() bool {
		return all.distinct(consent.ConsentRecorded) >= 603 && all.times(consent.PurposeVersioned) == 1 &&
			all.times(consent.SubjectErased) == 1 && some.times(consent.PurposeVersioned) == 1
	})
	time.Sleep(300 * time.Millisecond) // for what should not come
	// Who was erased before it was told is not told of.
	if n := all.times(consent.ConsentRecorded); n != all.distinct(consent.ConsentRecorded) || n < 603 || n > 604 {
		t.Errorf("%d messages of %d decisions", n, all.distinct(consent.ConsentRecorded))
	}
	for of, want := range map[consent.EventType]int{consent.ConsentWithdrawn: 1, consent.SubjectMerged: 1,
		consent.SubjectUnmerged: 1, consent.SubjectErased: 1, consent.PurposeVersioned: 1} {
		if got := all.times(of); got != want {
			t.Errorf("%s came %d times", of, got)
		}
	}
	if some.times(consent.ConsentRecorded) != 0 || some.times(consent.ConsentWithdrawn) != 1 {
		t.Errorf("it did not subscribe to all: %v", some.got)
	}
	if len(all.confuse) > 0 {
		t.Errorf("one id of %v", all.confuse)
	}
	if all.most > 4 {
		t.Errorf("%d messages at once", all.most)
	}
	awaitLong(t, "it is on record", func() bool { return len(deliveriesOf(t, s, a, w)) >= 608 })
	for _, d := range deliveriesOf(t, s, a, w) {
		if d.State != consent.DeliveryDelivered || d.Attempts != 1 || d.Status != 200 {
			t.Fatalf("%+v", d)
		}
	}
}

// TestReceiverOutOfOrder: what a receiver does not take is tried again, and all of it arrives once it takes messages;
// meanwhile others are told at once, and it is left alone.
func TestReceiverOutOfOrder(t *testing.T) {
	for name, fault := range map[string]http.HandlerFunc{
		"failing": status(500), "redirecting": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"babbling": func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = c.Write([]byte("hello\n"))
				_ = c.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := h.tells(t)
			a := h.organization(t)
			bad, good := newReceiver(t), newReceiver(t)
			w := h.webhook(t, s, a, bad.URL)
			h.webhook(t, s, a, good.URL)
			bad.breaks(fault)
			recordOn(t, s, a, itemsOf(50)...)
			awaitLong(t, "the other one is told", func() bool { return good.times(consent.ConsentRecorded) == 50 })
			awaitLong(t, "it is tried", func() bool { return len(deliveriesOf(t, s, a, w)) >= 4 })
			time.Sleep(500 * time.Millisecond)
			if bad.tries > 8 {
				t.Errorf("%d tries of a receiver that is out of order", bad.tries)
			}
			for range 3 {
				h.clock.add(10 * time.Minute)
				time.Sleep(200 * time.Millisecond)
			}
			bad.mends()
			h.clock.add(3 * time.Hour)
			awaitLong(t, "it is told of all", func() bool {
				h.clock.add(time.Minute)
				return bad.distinct(consent.ConsentRecorded) == 50
			})
			if bad.times(consent.ConsentRecorded) != 50 || len(bad.confuse) > 0 {
				t.Errorf("%d messages, %v", bad.times(consent.ConsentRecorded), bad.confuse)
			}
		})
	}
}

// TestHangingReceiverDelaysNoOther: messages to receivers that never answer hold up nobody else's.
func TestHangingReceiverDelaysNoOther(t *testing.T) {
	h := newHarness(t)
	s := h.tells(t)
	a := h.organization(t)
	silent := newReceiver(t)
	silent.breaks(hangs)
	for range 20 {
		h.webhook(t, s, a, silent.URL)
	}
	recordOn(t, s, a, item(user("first")))
	awaitLong(t, "all hang", func() bool { silent.mu.Lock(); defer silent.mu.Unlock(); return silent.now == 20 })
	good := newReceiver(t)
	h.webhook(t, s, a, good.URL)
	began := time.Now()
	recordOn(t, s, a, itemsOf(10)...)
	awaitLong(t, "the other one is told", func() bool { return good.times(consent.ConsentRecorded) == 10 })
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	silent.CloseClientConnections()
}

// TestGoneReceiver: 410 disables a webhook at once, and it goes on where it was when it is active again.
func TestGoneReceiver(t *testing.T) {
	h := newHarness(t)
	s := h.tells(t)
	a := h.organization(t)
	r := newReceiver(t)
	w := h.webhook(t, s, a, r.URL)
	r.breaks(status(http.StatusGone))
	recordOn(t, s, a, item(user("first")))
	awaitLong(t, "it is disabled", func() bool {
		now, err := s.Webhook(t.Context(), a, w.Webhook)
		return err == nil && now.Disabled == consent.DisabledGone
	})
	r.mends()
	recordOn(t, s, a, itemsOf(10)...)
	h.clock.add(time.Hour)
	time.Sleep(300 * time.Millisecond)
	if r.times(consent.ConsentRecorded) != 0 {
		t.Error("a disabled webhook is told")
	}
	yes := true
	if _, err := s.UpdateWebhook(t.Context(), a, consent.UpdateWebhook{Webhook: w.Webhook,
		Change: consent.WebhookChange{Active: &yes}}); err != nil {
		t.Fatal(err)
	}
	awaitLong(t, "it goes on", func() bool { return r.distinct(consent.ConsentRecorded) == 10 })
	list := deliveriesOf(t, s, a, w)
	parked := list[len(list)-1]
	if parked.State != consent.DeliveryParked || parked.Status != http.StatusGone {
		t.Fatalf("%+v", parked)
	}
	if _, err := s.Redeliver(t.Context(), a, w.Webhook, parked.ID, consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PingWebhook(t.Context(), a, w.Webhook, consent.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	awaitLong(t, "the parked one and a ping", func() bool {
		return r.distinct(consent.ConsentRecorded) == 11 && r.times(consent.WebhookPing) == 1
	})
}

// TestConsentExpires: when the time of a consent is over a webhook is told, once, also where no server ran then and of
// a person who was merged; not of one that was renewed, taken back or refused, and not of what was over before.
func TestConsentExpires(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	s := h.tells(t)
	r := newReceiver(t)
	w := h.webhook(t, s, a, r.URL, "consent.expired")
	in := func(name string, state consent.State, wait time.Duration) {
		d := decided(consent.Analytics, state)
		d.ExpiresAt = h.later().Add(wait).UTC().Truncate(time.Microsecond)
		recordOn(t, s, a, item(user(name), d))
	}
	began := time.Now()
	in("soon", consent.Accepted, time.Second)
	in("renewed", consent.Accepted, time.Second)
	in("renewed", consent.Accepted, time.Hour)
	in("withdrawn", consent.Accepted, time.Second)
	in("withdrawn", consent.Withdrawn, time.Second)
	in("refused", consent.Declined, time.Second)
	in("later", consent.Accepted, 24*time.Hour)
	d := decided(consent.Analytics, consent.Accepted)
	d.ExpiresAt = h.later().Add(time.Second).UTC().Truncate(time.Microsecond)
	from := recordOn(t, s, a, item(named(consent.Email, "m@shop.example"), d)).Items[0].Subject
	into := recordOn(t, s, a, item(user("merged"), decided(consent.Marketing, consent.Accepted))).Items[0].Subject
	if _, err := s.MergeSubjects(t.Context(), a, consent.MergeSubjects{Subject: into, Other: from}); err != nil {
		t.Fatal(err)
	}
	awaitLong(t, "two expired", func() bool { return r.distinct(consent.ConsentExpired) == 2 })
	if took := time.Since(began); took < time.Second || took > 7*time.Second {
		t.Errorf("it took %s", took)
	}
	s.Close()
	h.clock.add(2 * time.Hour)
	s = h.tells(t)
	awaitLong(t, "what expired meanwhile", func() bool { return r.distinct(consent.ConsentExpired) == 3 })
	h.clock.add(48 * time.Hour)
	awaitLong(t, "the last one", func() bool { return r.distinct(consent.ConsentExpired) == 4 })
	time.Sleep(300 * time.Millisecond)
	if n := r.times(consent.ConsentExpired); n != 4 || len(r.got) != 1 {
		t.Errorf("%d messages: %v", n, r.got)
	}
	if _, err := s.Webhook(t.Context(), a, w.Webhook); err != nil {
		t.Error(err)
	}
}

// TestServersShareWebhooks: where servers end and begin while much is recorded, and one does not say so, each message
// arrives, and one webhook is told by one server at a time.
func TestServersShareWebhooks(t *testing.T) {
	h := newHarness(t)
	a := h.organization(t)
	s := h.tells(t)
	r := newReceiver(t)
	h.webhook(t, s, a, r.URL)
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	total := 0
	writing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			h.record(t, a, item(user(fmt.Sprint("person-", n))))
			total++
			time.Sleep(time.Millisecond)
		}
	})
	for range 8 {
		next := h.tells(t)
		time.Sleep(200 * time.Millisecond)
		s.Close()
		s = next
	}
	stop()
	writing.Wait()
	awaitLong(t, "all arrived", func() bool { return r.distinct(consent.ConsentRecorded) == total })
	if len(r.confuse) > 0 || r.most > 4 {
		t.Errorf("%v; %d at once", r.confuse, r.most)
	}
	if twice := r.times(consent.ConsentRecorded) - total; twice > 8*2500 {
		t.Errorf("%d of %d came twice", twice, total)
	}
}
