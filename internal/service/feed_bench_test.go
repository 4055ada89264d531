package service_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol/native"
	"github.com/consentd/consentd/internal/sealing/sealingtest"
	"github.com/consentd/consentd/internal/service"
)

// BenchmarkWebhook tells a receiver on this machine of decisions that wait for it, each in a message of its own.
func BenchmarkWebhook(b *testing.B) {
	h := newHarness(b)
	a := h.organization(b)
	var got atomic.Int64
	done := make(chan struct{})
	r := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		if got.Add(1) == int64(b.N) {
			close(done)
		}
	}))
	defer r.Close()
	allow := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	s := service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), Log: slog.New(slog.DiscardHandler),
		WebhookAllow: allow})
	if _, err := s.CreateWebhook(b.Context(), a, consent.NewWebhook{URL: r.URL, Events: []string{"*"}},
		consent.Idempotency{}); err != nil {
		b.Fatal(err)
	}
	s.Close()
	for left := b.N; left > 0; left -= 1000 {
		h.record(b, a, itemsOf(min(left, 1000))...)
	}
	b.ResetTimer()
	began := time.Now()
	s = service.New(service.Options{Store: h.store, Keys: sealingtest.Ring(), Log: slog.New(slog.DiscardHandler),
		RunJobs: true, Message: native.Message, WebhookAllow: allow})
	defer s.Close()
	<-done
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "messages/s")
}
