package server

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/webhook"
)

// Delivered counts a try to deliver a message to a webhook; see service.Options.Delivered.
func (m *Metrics) Delivered(r webhook.Result) {
	outcome := string(r.Reason)
	switch {
	case r.Taken():
		outcome = "taken"
	case r.Reason == webhook.Answered:
		outcome = "refused_by_status"
	}
	m.delivered.WithLabelValues(outcome).Inc()
	m.deliveryTime.Observe(r.Took.Seconds())
}

// Webhooks adds how many webhooks there are and what they are not told; to be called once.
func (m *Metrics) Webhooks(count func(context.Context) (consent.WebhookCount, error)) {
	m.registry.MustRegister(webhookFigures(count))
}

// webhookFigures counts webhooks when somebody asks for the metrics.
type webhookFigures func(context.Context) (consent.WebhookCount, error)

var (
	webhooksThere  = prometheus.NewDesc("consentd_webhooks", "Webhooks, active and disabled.", []string{"state"}, nil)
	webhooksBehind = prometheus.NewDesc("consentd_webhook_behind_entries",
		"Entries of its ledger that the active webhook which is furthest behind was not told of.", nil, nil)
	webhooksParked = prometheus.NewDesc("consentd_webhook_messages_parked",
		"Messages that no try is left for; see consentd jobs list --parked.", nil, nil)
)

// Describe implements prometheus.Collector.
func (webhookFigures) Describe(out chan<- *prometheus.Desc) {
	out <- webhooksThere
	out <- webhooksBehind
	out <- webhooksParked
}

// Collect implements prometheus.Collector. Where the webhooks cannot be counted in time, they are left out.
func (f webhookFigures) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), figuresTimeout)
	defer cancel()
	c, err := f(ctx)
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(webhooksThere, c.Active, "active")
	gauge(webhooksThere, c.Disabled, "disabled")
	gauge(webhooksBehind, c.Behind)
	gauge(webhooksParked, c.Parked)
}
